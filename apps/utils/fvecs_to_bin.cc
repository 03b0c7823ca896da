// fvecs_to_bin <float/int8/uint8> in.fvecs out.bin: TEXMEX vectors to DiskANN's .bin.
#include "apps/common/command_line.h"
#include "apps/common/convert.h"

int main(int argc, char** argv) {
  shoal::apps::CommandLine line(
      "fvecs_to_bin", "Converts .fvecs (float) or .bvecs (int8, uint8) of any size to .bin.");
  shoal::ScalarType type{};
  std::filesystem::path in;
  std::filesystem::path out;
  shoal::apps::Crop crop;
  line.Positional("type", "element type: float, int8 or uint8", &type);
  line.Positional("input", "the .fvecs or .bvecs file", &in);
  line.Positional("output", "the .bin file to write", &out);
  crop.Declare(line);
  return line.Run(argc, argv, [&] { return shoal::apps::ConvertVecsToBin(in, type, out, crop); });
}
