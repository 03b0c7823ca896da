// bvecs_to_bin in.bvecs out.bin: TEXMEX byte vectors to DiskANN's .bin. (For int8: fvecs_to_bin
// int8.)
#include "apps/common/command_line.h"
#include "apps/common/convert.h"

int main(int argc, char** argv) {
  shoal::apps::CommandLine line("bvecs_to_bin", "Converts .bvecs (uint8) of any size to .bin.");
  std::filesystem::path in;
  std::filesystem::path out;
  shoal::apps::Crop crop;
  line.Positional("input", "the .bvecs file", &in);
  line.Positional("output", "the .bin file to write", &out);
  crop.Declare(line);
  return line.Run(argc, argv, [&] {
    return shoal::apps::ConvertVecsToBin(in, shoal::ScalarType::kUint8, out, crop);
  });
}
