"""ONNX files of frozen files: what tf2onnx lacks or gets wrong is first said in plainer ops."""
