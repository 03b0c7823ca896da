// HDF5 files in ann-benchmarks' layout, written here with HDF5's own library, and read back.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "jobs/hdf5_file.h"
#include "jobs/input.h"
#include "temp_folder.h"

namespace shoal::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// One file in the making.
class Hdf5Maker {
 public:
  explicit Hdf5Maker(const std::filesystem::path& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~Hdf5Maker() { H5Fclose(file_); }
  Hdf5Maker(const Hdf5Maker&) = delete;
  Hdf5Maker& operator=(const Hdf5Maker&) = delete;

  template <class T>
  Hdf5Maker& Table(const char* name, hid_t type, hsize_t columns, const std::vector<T>& values) {
    const hsize_t shape[2] = {values.size() / columns, columns};
    const hid_t space = H5Screate_simple(2, shape, nullptr);
    const hid_t set = H5Dcreate2(file_, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(set);
    H5Sclose(space);
    return *this;
  }
  // As h5py writes it: a string of variable length.
  Hdf5Maker& Attribute(const char* name, const char* value) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    Write(name, type, static_cast<const void*>(&value));
    return *this;
  }
  Hdf5Maker& FixedAttribute(const char* name, const char* value) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, std::strlen(value) + 3);
    std::string padded(value);
    padded.resize(std::strlen(value) + 3, '\0');
    Write(name, type, padded.data());
    return *this;
  }

 private:
  void Write(const char* name, hid_t type, const void* value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file_, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, value);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
  }

  hid_t file_;
};

std::vector<float> FloatsOf(const Matrix& matrix) {
  std::vector<float> values(matrix.rows() * matrix.dim());
  std::memcpy(values.data(), matrix.data(), values.size() * sizeof(float));
  return values;
}

TEST(Hdf5, RowsQueriesAndTruthAreReadAsTheyWereWritten) {
  const TempFolder folder;
  const auto path = folder / "all.hdf5";
  Hdf5Maker(path)
      .Attribute("distance", "euclidean")
      .Attribute("type", "dense")
      .Table("train", H5T_NATIVE_FLOAT, 3, std::vector<float>{1, 2, 3, 4, 5, 6})
      .Table("test", H5T_NATIVE_FLOAT, 3, std::vector<float>{1, 2, 4})
      .Table("neighbors", H5T_NATIVE_INT32, 2, std::vector<int32_t>{0, 1})
      .Table("distances", H5T_NATIVE_FLOAT, 2, std::vector<float>{1, 4.5f});
  const auto data = ReadHdf5(path);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->metric, Metric::kL2);
  EXPECT_EQ(data->distance, "euclidean");
  EXPECT_EQ(data->rows.rows(), 2u);
  EXPECT_THAT(FloatsOf(data->rows), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(FloatsOf(data->queries), ElementsAre(1, 2, 4));
  ASSERT_TRUE(data->truth);
  EXPECT_EQ(data->truth->k, 2u);
  EXPECT_THAT(data->truth->ids, ElementsAre(0, 1));
  EXPECT_THAT(data->truth->distances, ElementsAre(1, 20.25f)) << "squared";
}

TEST(Hdf5, DoublesBecomeFloatsAndBytesStayBytes) {
  const TempFolder folder;
  const auto doubles = folder / "doubles.hdf5", bytes = folder / "bytes.h5";
  Hdf5Maker(doubles)
      .FixedAttribute("distance", "angular")
      .Table("train", H5T_NATIVE_DOUBLE, 2, std::vector<double>{0.5, 2})
      .Table("test", H5T_NATIVE_DOUBLE, 2, std::vector<double>{1, 0.25});
  const auto angular = ReadHdf5(doubles);
  ASSERT_TRUE(angular) << angular.error().message;
  EXPECT_EQ(angular->metric, Metric::kCosine);
  EXPECT_EQ(angular->rows.type(), ScalarType::kFloat32);
  EXPECT_THAT(FloatsOf(angular->queries), ElementsAre(1, 0.25f));
  EXPECT_FALSE(angular->truth);
  Hdf5Maker(bytes)
      .Attribute("distance", "ip")
      .Table("train", H5T_NATIVE_UINT8, 2, std::vector<uint8_t>{255, 0, 7, 9})
      .Table("test", H5T_NATIVE_UINT8, 2, std::vector<uint8_t>{1, 2});
  const auto small = ReadHdf5(bytes);
  ASSERT_TRUE(small) << small.error().message;
  EXPECT_EQ(small->metric, Metric::kInnerProduct);
  EXPECT_EQ(small->rows.type(), ScalarType::kUint8);
  EXPECT_EQ(std::to_integer<int>(small->rows.data()[3]), 9);
}

TEST(Hdf5, MistakesNameTheFileAndTheField) {
  const TempFolder folder;
  const std::vector<float> two = {1, 2};
  const auto message = [&](const auto& make) {
    const auto path = folder / "bad.hdf5";
    {
      Hdf5Maker maker(path);
      make(maker);
    }
    const auto data = ReadHdf5(path);
    if (data) return std::string("none");
    EXPECT_THAT(data.error().message, StartsWith(path.string() + ": "));
    return data.error().message.substr(path.string().size() + 2);
  };
  const auto vectors = [&](Hdf5Maker& maker, const char* distance = "euclidean") -> Hdf5Maker& {
    return maker.Attribute("distance", distance)
        .Table("train", H5T_NATIVE_FLOAT, 2, two)
        .Table("test", H5T_NATIVE_FLOAT, 2, two);
  };
  EXPECT_EQ(message([&](Hdf5Maker& m) { vectors(m, "hamming"); }),
            "attribute distance: expected euclidean, angular or ip, found 'hamming'");
  EXPECT_EQ(message([&](Hdf5Maker& m) { m.Table("train", H5T_NATIVE_FLOAT, 2, two); }),
            "attribute distance: expected euclidean, angular or ip, found none");
  EXPECT_EQ(message([&](Hdf5Maker& m) { vectors(m).Attribute("type", "sparse"); }),
            "attribute type: expected dense, found 'sparse'");
  EXPECT_EQ(message([&](Hdf5Maker& m) {
              m.Attribute("distance", "ip").Table("train", H5T_NATIVE_FLOAT, 2, two);
            }),
            "test: expected a data set of this name, found none");
  EXPECT_EQ(message([&](Hdf5Maker& m) {
              m.Attribute("distance", "ip")
                  .Table("train", H5T_NATIVE_FLOAT, 2, two)
                  .Table("test", H5T_NATIVE_FLOAT, 1, two);
            }),
            "test: expected 2 columns, as train, found 1");
  EXPECT_THAT(message([&](Hdf5Maker& m) {
                m.Attribute("distance", "ip")
                    .Table("train", H5T_NATIVE_FLOAT, 2,
                           std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()});
              }),
              HasSubstr("train: row 0, column 1: expected a finite number, found"));
  EXPECT_EQ(message([&](Hdf5Maker& m) {
              vectors(m).Table("neighbors", H5T_NATIVE_INT64, 1, std::vector<int64_t>{1});
            }),
            "neighbors: expected row numbers below 1, found 1");
  EXPECT_EQ(message([&](Hdf5Maker& m) {
              vectors(m)
                  .Table("neighbors", H5T_NATIVE_INT64, 1, std::vector<int64_t>{0})
                  .Table("distances", H5T_NATIVE_FLOAT, 2, two);
            }),
            "distances: expected 1 x 1, as neighbors, found 1 x 2");
  WriteBytes(folder / "text.hdf5", "no such thing");
  const auto text = ReadHdf5(folder / "text.hdf5");
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().message, HasSubstr("format: expected HDF5, found something else"));
  EXPECT_EQ(ReadHdf5(folder / "absent.hdf5").error().code, ErrorCode::kFileNotFound);
}

TEST(Hdf5, TruthThatCannotBeTrueIsRefusedAndOneInAnotherRoundingIsNot) {
  const TempFolder folder;
  const auto message = [&](const std::vector<int64_t>& ids, const std::vector<float>& distances) {
    const auto path = folder / "truth.hdf5";
    Hdf5Maker(path)
        .Attribute("distance", "euclidean")
        .Table("train", H5T_NATIVE_FLOAT, 2, std::vector<float>{1, 2, 3, 4, 5, 6})
        .Table("test", H5T_NATIVE_FLOAT, 2, std::vector<float>{5, 5})
        .Table("neighbors", H5T_NATIVE_INT64, 3, ids)
        .Table("distances", H5T_NATIVE_FLOAT, 3, distances);
    const auto data = ReadHdf5(path);
    return data ? std::string("none") : data.error().message;
  };
  EXPECT_EQ(message({2, 1, 0}, {1, 2, 3}), "none");
  EXPECT_EQ(message({2, 1, 0}, {1, 3.0001f, 3}), "none");
  EXPECT_THAT(message({2, 1, 2}, {1, 2, 3}),
              HasSubstr("id 2 of query 0: expected each id once, found 2 as at 0"));
  EXPECT_THAT(message({2, 1, 0}, {1, 3, 2}), HasSubstr("distance 2 of query 0: expected none "));
}

TEST(Input, Hdf5NeedsNoSecondFileAndNamesItsMetric) {
  const TempFolder folder;
  const auto path = folder / "all.hdf5";
  Hdf5Maker(path)
      .Attribute("distance", "angular")
      .Table("train", H5T_NATIVE_FLOAT, 2, std::vector<float>{1, 2, 3, 4, 5, 6})
      .Table("test", H5T_NATIVE_FLOAT, 2, std::vector<float>{7, 8});
  InputRequest request;
  request.base_file = path;
  request.rows = 2;
  request.type = ScalarType::kUint8;
  const auto input = ReadInput(request);
  ASSERT_TRUE(input) << input.error();
  EXPECT_EQ(input->metric, Metric::kCosine);
  EXPECT_EQ(input->rows.rows(), 2u);
  EXPECT_EQ(input->queries.type(), ScalarType::kUint8);
  EXPECT_EQ(std::to_integer<int>(input->queries.data()[1]), 8);
  request.rows = 4;
  EXPECT_EQ(ReadInput(request).error(), path.string() + ": rows: expected at least 4, found 3");
  EXPECT_EQ(ReadBase(path, 4).error(), path.string() + ": rows: expected at least 4, found 3");
}

TEST(Input, TheFilesTruthComesWithItWhereItIsThatOfTheRowsAndTheMetric) {
  const TempFolder folder;
  const auto path = folder / "all.hdf5";
  Hdf5Maker(path)
      .Attribute("distance", "euclidean")
      .Table("train", H5T_NATIVE_FLOAT, 2, std::vector<float>{1, 2, 3, 4, 5, 6})
      .Table("test", H5T_NATIVE_FLOAT, 2, std::vector<float>{5, 5})
      .Table("neighbors", H5T_NATIVE_INT64, 1, std::vector<int64_t>{2});
  InputRequest request;
  request.base_file = path;
  const auto whole = ReadInput(request);
  ASSERT_TRUE(whole) << whole.error();
  ASSERT_TRUE(whole->truth);
  EXPECT_THAT(whole->truth->ids, ElementsAre(2u));
  InputRequest fewer = request, other = request, asked = request;
  fewer.rows = 2;
  other.metric = Metric::kInnerProduct;
  asked.query_file = folder / "queries.fbin";
  const std::vector<float> query = {1, 2};
  ASSERT_TRUE(WriteBin(asked.query_file, MatrixView(std::span<const float>(query), 2)));
  for (const InputRequest& changed : {fewer, other, asked}) {
    const auto input = ReadInput(changed);
    ASSERT_TRUE(input) << input.error();
    EXPECT_FALSE(input->truth);
  }
}

TEST(Input, DimensionsMustAgree) {
  const TempFolder folder;
  const std::vector<float> six(6, 1);
  ASSERT_TRUE(WriteBin(folder / "a.fbin", MatrixView(std::span<const float>(six), 2)));
  ASSERT_TRUE(WriteBin(folder / "b.fbin", MatrixView(std::span<const float>(six), 3)));
  InputRequest request;
  request.base_file = folder / "a.fbin";
  request.query_file = folder / "b.fbin";
  const auto input = ReadInput(request);
  ASSERT_FALSE(input);
  EXPECT_THAT(input.error(), HasSubstr("dimension: expected 2"));
}

}  // namespace
}  // namespace shoal::bench
