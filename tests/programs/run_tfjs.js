// Runs a TF.js model with npm's @tensorflow/tfjs, as a page does: model.json and shards by HTTP.
//
//     NODE_PATH=DIR/node_modules node run_tfjs.js TASK
//
// TASK is a JSON file: {"model": DIRECTORY, "feeds": {NAME: {"dtype", "shape", "data"}},
// "outputs": [NAMES], "sync": whether to call execute(), and not executeAsync()}. It prints JSON:
// {NAME: {"dtype", "shape", "data"}}, and the version of the package.

const fs = require('fs');
const http = require('http');
const path = require('path');

console.warn = () => {};  // it says how to be faster
const tf = require('@tensorflow/tfjs');

async function main() {
  const task = JSON.parse(fs.readFileSync(process.argv[2]));
  const server = http.createServer((request, answer) => {
    const file = path.join(task.model, path.basename(decodeURIComponent(request.url)));
    fs.readFile(file, (error, data) => {
      answer.writeHead(error ? 404 : 200, {'Content-Type': 'application/octet-stream'});
      answer.end(data);
    });
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  try {
    await tf.setBackend('cpu');
    const address = `http://127.0.0.1:${server.address().port}/model.json`;
    const model = await tf.loadGraphModel(address);
    const feeds = {};
    for (const [name, {dtype, shape, data}] of Object.entries(task.feeds)) {
      feeds[name] = tf.tensor(data, shape, dtype);
    }
    const found = task.sync ? model.execute(feeds, task.outputs) :
        await model.executeAsync(feeds, task.outputs);
    const answers = {}, tensors = Array.isArray(found) ? found : [found];
    for (let i = 0; i < tensors.length; i++) {
      const {dtype, shape} = tensors[i];
      answers[task.outputs[i]] = {dtype, shape, data: Array.from(await tensors[i].data())};
    }
    console.log(JSON.stringify({answers, version: tf.version.tfjs}));
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

main().catch(error => {
  console.error(error.stack || String(error));
  process.exit(1);
});
