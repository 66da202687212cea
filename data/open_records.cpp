#include <string_view>

#include "data/rating_source.h"
#include "data/record_stream.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

bool is_json(std::string_view name) {
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return name.ends_with(".jsonl") || name.ends_with(".ndjson") || name.ends_with(".json");
}

}  // namespace

std::unique_ptr<RecordStream> open_records(const std::string& path,
                                           const RecordReadOptions& options) {
  const RatingSource source = find_rating_files(path);
  expect(source.format != RatingFormat::dataset, ErrorKind::data,
         "{}: a converted data set has no records with columns; train on it without [[features]], "
         "or give the files that it was made from",
         path);
  if (source.format == RatingFormat::hdf5) return open_hdf5_records(source.files, options);
  if (source.format == RatingFormat::tfrecord) return open_tfrecord_records(source.files, options);
  using Text = RecordReadOptions::Text;
  const bool by_name = options.text == Text::by_name;
  const bool json = by_name ? is_json(source.files[0]) : options.text == Text::json;
  for (const std::string& file : source.files)
    expect(!by_name || is_json(file) == json, ErrorKind::data,
           "{}: {} is {}, but {} is {}; give files of one format", path, source.files[0],
           json ? "JSON lines" : "delimited text", file, json ? "delimited text" : "JSON lines");
  return json ? open_json_records(source.files, options) : open_csv_records(source.files, options);
}

}  // namespace gradmill
