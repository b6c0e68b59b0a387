/* Runs a frozen file or a SavedModel with TensorFlow's C API: one tensor in, one of floats out.
 *
 *     ./run model.pb image:0 float 2,8,8,1 images.bin probs:0
 *     ./run models/digits/300 image:0 float 2,8,8,1 images.bin probs:0
 *
 * The type is float, int32 or int64, for a file of these numbers in the machine's byte order, or
 * string, for a text file with one value a line. Prints the output, one number a line.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tensorflow/c/c_api.h>

#define MAX_DIMS 8

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static void *allocated(size_t size) {
  void *memory = malloc(size ? size : 1);
  if (memory == NULL) fail("malloc", "out of memory");
  return memory;
}

/* Reads a whole file and adds a zero byte; its length goes to `length`. */
static char *content(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path, "cannot be opened");
  if (fseek(file, 0, SEEK_END) != 0) fail(path, "cannot be read");
  long size = ftell(file);
  if (size < 0) fail(path, "cannot be read");
  rewind(file);
  char *bytes = allocated((size_t)size + 1);
  if (fread(bytes, 1, (size_t)size, file) != (size_t)size) fail(path, "cannot be read");
  fclose(file);
  bytes[size] = 0;
  *length = (size_t)size;
  return bytes;
}

static void import_graph(const char *path, TF_Graph *graph, TF_Status *status) {
  size_t length;
  char *bytes = content(path, &length);
  TF_Buffer *buffer = TF_NewBufferFromString(bytes, length);
  TF_ImportGraphDefOptions *options = TF_NewImportGraphDefOptions();
  TF_GraphImportGraphDef(graph, buffer, options, status);
  check(status, path);
  TF_DeleteImportGraphDefOptions(options);
  TF_DeleteBuffer(buffer);
  free(bytes);
}

/* Fills the graph from a file, or from a SavedModel's directory, whose variables are restored. */
static TF_Session *session_of(const char *path, TF_Graph *graph, TF_Status *status) {
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Session *session;
  struct stat about;
  if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
    const char *tag = "serve";
    session = TF_LoadSessionFromSavedModel(options, NULL, path, &tag, 1, graph, NULL, status);
  } else {
    import_graph(path, graph, status);
    session = TF_NewSession(graph, options, status);
  }
  check(status, path);
  TF_DeleteSessionOptions(options);
  return session;
}

/* Finds the output of an operation by its name, "probs:0" or "probs". */
static TF_Output output_of(TF_Graph *graph, const char *name) {
  TF_Output found = {NULL, 0};
  const char *colon = strrchr(name, ':');
  size_t length = colon ? (size_t)(colon - name) : strlen(name);
  char *operation = allocated(length + 1);
  memcpy(operation, name, length);
  operation[length] = 0;
  found.oper = TF_GraphOperationByName(graph, operation);
  if (colon) found.index = atoi(colon + 1);
  if (found.oper == NULL) fail(name, "is not in the graph");
  if (found.index < 0 || found.index >= TF_OperationNumOutputs(found.oper))
    fail(name, "has no such output");
  free(operation);
  return found;
}

static TF_DataType type_of(const char *name) {
  if (strcmp(name, "float") == 0) return TF_FLOAT;
  if (strcmp(name, "int32") == 0) return TF_INT32;
  if (strcmp(name, "int64") == 0) return TF_INT64;
  if (strcmp(name, "string") == 0) return TF_STRING;
  fail(name, "is not float, int32, int64 or string");
  return TF_FLOAT;
}

static int shape_of(const char *text, int64_t *dims) {
  int rank = 0;
  while (*text && rank < MAX_DIMS) {
    char *end;
    dims[rank++] = strtoll(text, &end, 10);
    if (end == text || dims[rank - 1] < 0) fail(text, "is not a shape such as 2,8,8,1");
    text = *end == ',' ? end + 1 : end;
  }
  if (*text) fail(text, "has more than the 8 dimensions that this program supports");
  return rank;
}

/* Copies each line into the string tensor. */
static void fill_lines(TF_Tensor *tensor, char *text, int64_t count) {
  TF_TString *strings = TF_TensorData(tensor);
  for (int64_t i = 0; i < count; ++i) {
    char *end = strchr(text, '\n');
    size_t length = end ? (size_t)(end - text) : strlen(text);
    if (end == NULL && length == 0) fail("input", "has fewer lines than the shape says");
    TF_TString_Init(&strings[i]);
    TF_TString_Copy(&strings[i], text, length);
    text += end ? length + 1 : length;
  }
}

static TF_Tensor *tensor_of(const char *type_name, const char *shape, const char *path) {
  TF_DataType type = type_of(type_name);
  int64_t dims[MAX_DIMS], count = 1;
  int rank = shape_of(shape, dims);
  for (int i = 0; i < rank; ++i) count *= dims[i];
  size_t width = type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type);
  TF_Tensor *tensor = TF_AllocateTensor(type, dims, rank, (size_t)count * width);
  size_t length;
  char *bytes = content(path, &length);
  if (type == TF_STRING) {
    fill_lines(tensor, bytes, count);
  } else {
    if (length != (size_t)count * width) fail(path, "has another length than the shape says");
    memcpy(TF_TensorData(tensor), bytes, length);
  }
  free(bytes);
  return tensor;
}

int main(int argc, char **argv) {
  if (argc != 7) fail("usage", "run MODEL INPUT TYPE SHAPE FILE OUTPUT");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_Session *session = session_of(argv[1], graph, status);
  TF_Output input = output_of(graph, argv[2]), output = output_of(graph, argv[6]);
  TF_Tensor *fed = tensor_of(argv[3], argv[4], argv[5]), *fetched = NULL;
  TF_SessionRun(session, NULL, &input, &fed, 1, &output, &fetched, 1, NULL, 0, NULL, status);
  check(status, "run");
  if (TF_TensorType(fetched) != TF_FLOAT) fail(argv[6], "is not of floats");
  const float *values = TF_TensorData(fetched);
  for (int64_t i = 0; i < TF_TensorElementCount(fetched); ++i) printf("%.9g\n", values[i]);

  TF_DeleteTensor(fed);
  TF_DeleteTensor(fetched);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
