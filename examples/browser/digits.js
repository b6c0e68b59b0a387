// Classifies what is drawn on the canvas. The model takes 8x8 cells, as scikit-learn's digits have.

const SIDE = 8;
const pad = document.getElementById('pad');
const pen = pad.getContext('2d', {willReadFrequently: true});
const cell = pad.width / SIDE;
let model, last;

function clear() {
  pen.fillStyle = 'black';
  pen.fillRect(0, 0, pad.width, pad.height);
  document.getElementById('digit').value = '';
  document.querySelectorAll('meter').forEach(meter => meter.value = 0);
}

// Fills the cells, given 64 numbers from 0 to 1.
function paint(cells) {
  clear();
  cells.forEach((value, i) => {
    pen.fillStyle = `rgb(${Array(3).fill(Math.round(255 * value)).join()})`;
    pen.fillRect(i % SIDE * cell, Math.floor(i / SIDE) * cell, cell, cell);
  });
}

// The mean brightness of each cell, from 0 to 1.
function drawn() {
  const found = new Float32Array(SIDE * SIDE);
  const {data} = pen.getImageData(0, 0, pad.width, pad.height);
  for (let i = 0; i < pad.width * pad.height; i++) {
    const row = Math.floor(i / pad.width / cell), column = Math.floor(i % pad.width / cell);
    found[row * SIDE + column] += data[4 * i] / 255 / cell / cell;
  }
  return found;
}

async function classify() {
  const image = tf.tensor(drawn(), [1, SIDE, SIDE, 1]);
  const answer = model.predict(image);
  const found = Array.from(await answer.data());
  tf.dispose([image, answer]);
  document.querySelectorAll('meter').forEach((meter, i) => meter.value = found[i]);
  document.getElementById('digit').value = found.indexOf(Math.max(...found));
  return found;
}

function draw(event) {
  if (!event.buttons) {
    last = undefined;
    return;
  }
  const at = [event.offsetX, event.offsetY];
  pen.strokeStyle = 'white';
  pen.lineWidth = cell;
  pen.lineCap = 'round';
  pen.beginPath();
  pen.moveTo(...(last || at));
  pen.lineTo(...at);
  pen.stroke();
  last = at;
}

async function main() {
  for (let digit = 0; digit < 10; digit++) {
    document.getElementById('probabilities').insertAdjacentHTML(
        'beforeend', `<li>${digit} <meter></meter></li>`);
  }
  clear();
  model = await tf.loadGraphModel('model/model.json');
  pad.addEventListener('pointerdown', draw);
  pad.addEventListener('pointermove', draw);
  pad.addEventListener('pointerup', () => {
    last = undefined;
    classify();
  });
  document.getElementById('clear').addEventListener('click', clear);
  document.getElementById('state').textContent = 'The model is there.';
}

main().catch(error => document.getElementById('state').textContent = String(error));
