// What a path to ratings stands for.
#pragma once

#include <string>
#include <vector>

namespace gradmill {

enum class RatingFormat { dataset, hdf5, tfrecord, text };

struct RatingSource {
  RatingFormat format = RatingFormat::text;
  std::vector<std::string> files;  // in sorted order; for a converted data set: its folder
};

/// A folder with dataset.json is a converted data set; another folder, or a glob pattern, stands for its
/// files in sorted order (hidden ones and those that begin with '_' are left out), all of one format:
/// HDF5 by its signature or *.h5, *.hdf5; TFRecord by *.tfrecord, *.tfrecords, also with .gz; else text.
/// Errors: ErrorKind::input_missing naming the path; ErrorKind::data if formats are mixed.
RatingSource find_rating_files(const std::string& path);

}  // namespace gradmill
