#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "data/byte_source.h"
#include "data/rating_source.h"
#include "data/rating_stream.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of_folder(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name[0] != '.' && name[0] != '_')
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  expect(!files.empty(), ErrorKind::input_missing, "{}: the folder has no files", folder);
  return files;
}

std::vector<std::string> files_of_pattern(const std::string& pattern) {
  struct Matches : glob_t {
    Matches() : glob_t{} {}
    ~Matches() { ::globfree(this); }
  } matches;
  const int status = ::glob(pattern.c_str(), GLOB_MARK, nullptr, &matches);
  expect(status == 0 || status == GLOB_NOMATCH, ErrorKind::io,
         "{}: the pattern could not be searched", pattern);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < matches.gl_pathc; ++i)
    if (const std::string file = matches.gl_pathv[i]; !file.ends_with('/')) files.push_back(file);
  std::sort(files.begin(), files.end());
  expect(!files.empty(), ErrorKind::input_missing, "{}: no file matches", pattern);
  return files;
}

RatingFormat format_of(const std::string& file) {
  std::string name = fs::path(file).filename().string();
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  for (const char* end : {".tfrecord", ".tfrecords"})
    if (name.ends_with(end)) return RatingFormat::tfrecord;
  for (const char* end : {".h5", ".hdf5", ".he5"})
    if (name.ends_with(end)) return RatingFormat::hdf5;
  std::string head(8, '\0');
  head.resize(open_byte_source(file)->read(head.data(), head.size()));
  return head == "\x89HDF\r\n\x1a\n" ? RatingFormat::hdf5 : RatingFormat::text;
}

std::string_view format_name(RatingFormat format) {
  return format == RatingFormat::hdf5       ? "HDF5"
         : format == RatingFormat::tfrecord ? "TFRecord"
                                            : "text";
}

}  // namespace

RatingSource find_rating_files(const std::string& path) {
  RatingSource source;
  std::error_code none;
  if (fs::is_directory(path, none)) {
    if (fs::exists(fs::path(path) / "dataset.json", none)) return {RatingFormat::dataset, {path}};
    source.files = files_of_folder(path);
  } else if (!fs::exists(path, none) && path.find_first_of("*?[") != std::string::npos) {
    source.files = files_of_pattern(path);
  } else {
    source.files = {path};
  }
  source.format = format_of(source.files[0]);
  for (const std::string& file : source.files)
    expect(format_of(file) == source.format, ErrorKind::data,
           "{}: {} is {}, but {} is {}; give files of one format", path, source.files[0],
           format_name(source.format), file, format_name(format_of(file)));
  return source;
}

std::unique_ptr<RatingStream> open_ratings(const std::string& path,
                                           const RatingReadOptions& options) {
  const RatingSource source = find_rating_files(path);
  switch (source.format) {
    case RatingFormat::dataset:
      return open_dataset_ratings(source.files[0], options);
    case RatingFormat::hdf5:
      return open_hdf5_ratings(source.files, options);
    case RatingFormat::tfrecord:
      return open_tfrecord_ratings(source.files, options);
    case RatingFormat::text:
      break;
  }
  return open_text_ratings(source.files, options);
}

}  // namespace gradmill
