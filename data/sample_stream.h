// Labelled samples as sparse rows: what linear models train on, whatever file they came from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/rating_stream.h"  // BadRecords, ReadReport

namespace gradmill {

/// Some consecutive samples. Indices are from 0, ascending and distinct within a row.
struct SampleChunk {
  std::vector<std::int64_t> offsets{0};  // [rows + 1], offsets[0] = 0
  std::vector<std::int32_t> indices;     // [nnz]
  std::vector<float> values;             // [nnz], finite
  std::vector<float> labels;             // [rows], finite; as in the file, or the class of a text
  std::vector<float> weights;            // [rows], finite and >= 0, or empty: all 1
  std::int64_t first_row = 0;            // of the file or data set, for messages
  std::int64_t rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t nnz() const { return static_cast<std::int64_t>(indices.size()); }
};

/// Names of features (TFRecord) or data sets (HDF5). Empty: found by usual names (docs/formats.md).
/// "-" for weight: there is none; for indices (TFRecord): values are dense.
struct SampleColumns {
  std::string label, weight, indices, values;
  std::string offsets;  // HDF5: indptr
};

/// Features that there can be: indices are int32 and their number too.
inline constexpr std::int64_t kMaxFeatures = 0x7fffffff;

struct SampleReadOptions {
  enum class IndexBase : std::uint8_t {
    detect,  // 0 if an index 0 is in the first 4 MiB of the first file, else 1
    zero,
    one
  } index_base = IndexBase::detect;  // of LIBSVM text
  SampleColumns columns;             // of TFRecord and HDF5
  std::int64_t num_features = 0;     // greater indices are bad records; 0: kMaxFeatures
  BadRecords bad_records = BadRecords::fail;
  int threads = 1;
  int part = 0, parts = 1;  // read only the part-th of `parts` contiguous, disjoint pieces
  std::int64_t chunk_rows = 1 << 16;  // about; a reader may give fewer or more
  bool verify = true;  // converted data sets: check each shard's digest before it is read
};

/// Gives the samples of one source in order.
class SampleStream {
 public:
  virtual ~SampleStream() = default;
  /// Overwrites chunk (its memory is used again); false at the end. Errors: ErrorKind::data with file,
  /// line or record and what was expected.
  virtual bool next(SampleChunk& chunk) = 0;
  virtual const ReadReport& report() const = 0;
  /// Features that the source declares (converted data sets, HDF5 with a shape, a fitted pipeline),
  /// 0 if only its largest index tells.
  virtual std::int64_t num_features() const { return 0; }
  /// First index of LIBSVM text, given or detected; -1: the source has no such choice.
  virtual int index_base() const { return -1; }
  /// About how many samples and entries there are, to set memory aside; 0 if unknown.
  virtual std::int64_t row_estimate() const { return 0; }
  virtual std::int64_t nnz_estimate() const { return 0; }
};

/// What the rows of a source are.
enum class DataKind : std::uint8_t { ratings, samples };

/// Finds out: a converted data set says it; HDF5 with a sparse matrix, tf.Examples with a label and values, and
/// LIBSVM text are samples; everything else is taken for ratings. Errors: ErrorKind::input_missing.
DataKind find_data_kind(const std::string& path);

/// Opens a source by what it is, as open_ratings does; text is LIBSVM.
std::unique_ptr<SampleStream> open_samples(const std::string& path,
                                           const SampleReadOptions& options);

/// LIBSVM / SVMlight text: "label [qid:n] index:value ... # comment", also gzip. Rows may be empty and their
/// entries in any order, but no index may stand twice; qid is read and not used, which a note in the
/// report says; rows of several labels ("1,2 3:4") are refused.
std::unique_ptr<SampleStream> open_libsvm_samples(const std::vector<std::string>& files,
                                                  const SampleReadOptions& options);
/// Do the first lines look like LIBSVM text? False for files that cannot be read as text.
bool is_libsvm(const std::string& path);
/// HDF5 files with a group of CSR arrays (docs/formats.md), as convert writes them; scipy's and
/// h5sparse's names are found too.
std::unique_ptr<SampleStream> open_hdf5_samples(const std::vector<std::string>& files,
                                                const SampleReadOptions& options);
/// TFRecords of tf.Example with the features label, indices, values (and weight).
std::unique_ptr<SampleStream> open_tfrecord_samples(const std::vector<std::string>& files,
                                                    const SampleReadOptions& options);
/// A converted data set (its folder), of either format.
std::unique_ptr<SampleStream> open_dataset_samples(const std::string& folder,
                                                   const SampleReadOptions& options);

}  // namespace gradmill
