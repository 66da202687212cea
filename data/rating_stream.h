// The one interface between rating files and everything that reads them: columnar chunks of rows.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

/// Ids of one column of a chunk: 64-bit integers, or strings kept back to back.
struct IdColumn {
  enum class Kind : std::uint8_t { i64, string } kind = Kind::i64;
  std::vector<std::int64_t> numbers;  // kind i64
  std::string bytes;                  // kind string: row r is bytes[ends[r-1] .. ends[r])
  std::vector<std::int64_t> ends;

  std::int64_t size() const {
    return static_cast<std::int64_t>(kind == Kind::i64 ? numbers.size() : ends.size());
  }
  std::string_view text(std::int64_t row) const {
    const auto r = static_cast<std::size_t>(row);
    const auto begin = static_cast<std::size_t>(r ? ends[r - 1] : 0);
    return std::string_view(bytes).substr(begin, static_cast<std::size_t>(ends[r]) - begin);
  }
  void clear() {
    numbers.clear();
    bytes.clear();
    ends.clear();
  }
  void push(std::int64_t id) { numbers.push_back(id); }  // kind i64
  void push(std::string_view id) {                       // kind string
    bytes.append(id);
    ends.push_back(static_cast<std::int64_t>(bytes.size()));
  }
  /// Becomes kind string; numbers become their decimal text.
  void make_text();
};

/// An id is a number only if it is written as a number is printed: "7" and "-7", not "007", "+7" or
/// "-0". So numbers turned into text give the bytes of the file again, and whether two ids are equal
/// never depends on what other ids a file, chunk or rank holds. False if text is not such a number.
bool parse_id(std::string_view text, std::int64_t& id);

/// Some consecutive rows. values, weights and timestamps have one entry a row or are empty
/// (no such column: every value 1, every weight 1).
struct RatingChunk {
  IdColumn users, items;
  std::vector<float> values, weights;
  std::vector<std::int64_t> timestamps;
  std::int64_t first_row = 0;  // of the file or data set, for messages
  std::int64_t rows() const { return users.size(); }
};

enum class BadRecords : std::uint8_t { fail, skip };

/// Why a record was left out.
enum class BadRecord : std::uint8_t {
  malformed,    // cannot be parsed, or a field has the wrong kind
  missing,      // an empty field, or no such feature
  non_finite,   // a value or weight is NaN or infinite
  out_of_range  // an id, time or value that its type cannot hold
};

/// What was left out and why; `examples` are the first few full messages (file:line: …).
struct ReadReport {
  std::int64_t rows = 0;
  std::int64_t skipped = 0;
  std::array<std::int64_t, 4> skipped_by{};  // indexed by BadRecord; sums to `skipped`
  std::vector<std::string> examples;
  std::vector<std::string> notes;  // what was read but is not used; each is there once
};

/// Names of the columns, or 1-based positions ("1") in text. Empty: found by name (user, user_id,
/// userId, …), in text without known names by position: user, item, value and, where a file has
/// exactly four columns, timestamp. "-" for value, weight or timestamp: there is none.
struct RatingColumns {
  std::string user, item, value, weight, timestamp;
};

struct RatingReadOptions {
  RatingColumns columns{};
  std::string delimiter{};  // text; empty: found from the first lines; may be longer ("::")
  enum class Header : std::uint8_t { detect, yes, no } header = Header::detect;
  bool has_values = true;  // false: every row is an interaction of value 1
  BadRecords bad_records = BadRecords::fail;
  int threads = 1;
  int part = 0, parts = 1;  // read only the part-th of `parts` contiguous, disjoint pieces
  std::int64_t chunk_rows = 1 << 18;  // about; a reader may give fewer or more
  enum class Layout : std::uint8_t {
    rows,
    lists
  } layout = Layout::rows;  // lists: "user item item …"
  bool quotes = true;       // text: RFC 4180 quotes; false: '"' is a character like any other
  bool text_ids = false;    // text: all ids are strings, also those that look like numbers
  bool verify = true;       // converted data sets: check each shard's digest before it is read
};

/// Gives the rows of one source (a file, a folder of files, a converted data set) in order. The kind of
/// an id column is i64 until the first id that is no number (see parse_id), and string from that chunk
/// on; read_rating_table and Vocabulary::merge make one kind of both.
class RatingStream {
 public:
  virtual ~RatingStream() = default;
  /// Overwrites chunk; false at the end. Errors: ErrorKind::data with file, line or record and column.
  virtual bool next(RatingChunk& chunk) = 0;
  virtual const ReadReport& report() const = 0;
  /// About how many rows there are, to set memory aside; 0 if unknown.
  virtual std::int64_t row_estimate() const { return 0; }
};

/// Opens a source by what it is: a folder with dataset.json, *.h5 / *.hdf5, *.tfrecord[.gz], else text
/// (*.csv, *.tsv, *.txt, *.dat, *.gz); a folder or a glob pattern stands for its files in sorted order.
/// Errors: ErrorKind::input_missing naming the path.
std::unique_ptr<RatingStream> open_ratings(const std::string& path,
                                           const RatingReadOptions& options);

/// By format; open_ratings picks one of these.
std::unique_ptr<RatingStream> open_text_ratings(const std::vector<std::string>& files,
                                                const RatingReadOptions& options);
std::unique_ptr<RatingStream> open_hdf5_ratings(const std::vector<std::string>& files,
                                                const RatingReadOptions& options);
std::unique_ptr<RatingStream> open_tfrecord_ratings(const std::vector<std::string>& files,
                                                    const RatingReadOptions& options);
std::unique_ptr<RatingStream> open_dataset_ratings(const std::string& folder,
                                                   const RatingReadOptions& options);

}  // namespace gradmill
