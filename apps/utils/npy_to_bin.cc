// npy_to_bin in.npy out.bin: NumPy's array of two axes to DiskANN's .bin, of the same element type.
#include "apps/common/command_line.h"
#include "apps/common/convert.h"

int main(int argc, char** argv) {
  shoal::apps::CommandLine line(
      "npy_to_bin",
      "Converts .npy of float32, float64 (to float32), float16, int8 or uint8 to .bin.");
  std::filesystem::path in;
  std::filesystem::path out;
  shoal::apps::Crop crop;
  line.Positional("input", "the .npy file", &in);
  line.Positional("output", "the .bin file to write", &out);
  crop.Declare(line);
  return line.Run(argc, argv, [&] { return shoal::apps::ConvertNpyToBin(in, out, crop); });
}
