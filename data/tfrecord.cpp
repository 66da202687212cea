#include "data/tfrecord.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "data/crc32c.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::size_t kHeader = 12, kFooter = 4;
// Small enough to stay in the second-level cache between read() and the CRC.
constexpr std::size_t kBlock = 1 << 18;

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

bool is_frame_header(std::string_view head) {
  return head.size() >= kHeader &&
         load<std::uint32_t>(head.data() + 8) == mask_crc(crc32c(head.substr(0, 8)));
}

bool is_deflated(std::string_view head) {
  if (head.size() < 2 || is_frame_header(head)) return false;
  const auto first = static_cast<unsigned char>(head[0]),
             second = static_cast<unsigned char>(head[1]);
  const bool gzip = first == 0x1f && second == 0x8b;
  const bool zlib = (first & 0x0f) == 8 && (first >> 4) <= 7 && (first * 256 + second) % 31 == 0;
  return gzip || zlib;
}

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}
  std::size_t read(char* to, std::size_t bytes) override {
    const std::size_t got = bytes_.copy(to, bytes);
    bytes_.remove_prefix(got);
    return got;
  }

 private:
  std::string_view bytes_;
};

std::array<char, kHeader> header_of(std::size_t length) {
  std::array<char, kHeader> header;
  const auto wide = static_cast<std::uint64_t>(length);
  std::memcpy(header.data(), &wide, 8);
  const std::uint32_t crc = mask_crc(crc32c({header.data(), 8}));
  std::memcpy(header.data() + 8, &crc, 4);
  return header;
}

std::array<char, kFooter> footer_of(std::string_view payload) {
  std::array<char, kFooter> footer;
  const std::uint32_t crc = mask_crc(crc32c(payload));
  std::memcpy(footer.data(), &crc, 4);
  return footer;
}

}  // namespace

TfRecordReader::TfRecordReader(std::string_view bytes, std::string name)
    : source_(std::make_unique<MemorySource>(bytes)),
      name_(std::move(name)),
      to_come_(static_cast<std::int64_t>(bytes.size())),
      buffer_(std::make_unique_for_overwrite<char[]>(kBlock)),
      capacity_(kBlock) {}

TfRecordReader::TfRecordReader(const std::string& path)
    : name_(path), buffer_(std::make_unique_for_overwrite<char[]>(kBlock)), capacity_(kBlock) {
  const InputFile file = InputFile::open_following_links(path);
  std::string head(static_cast<std::size_t>(std::min<std::int64_t>(kHeader, file.size())), '\0');
  file.read_at(0, head.data(), head.size());
  compressed_ = is_deflated(head);
  // Deflate cannot expand by more than 1032:1 (zlib, "Technical details").
  to_come_ = compressed_ ? file.size() * 1032 + (1 << 16) : file.size();
  const bool zlib = compressed_ && !head.starts_with("\x1f\x8b");
  source_ = zlib ? open_zlib_source(path) : open_byte_source(path);
}

void TfRecordReader::refuse(const std::string& why, bool lost) {
  lost_ = lost;
  fail(ErrorKind::data, "{}: record {} at byte {}: {}", name_, record_, offset_, why);
}

bool TfRecordReader::ensure(std::size_t bytes) {
  if (unread() >= bytes) return true;
  if (begin_ + bytes > capacity_) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, unread());
    end_ = unread();
    begin_ = 0;
  }
  while (unread() < bytes) {
    if (end_ == capacity_) {  // grows as data arrive: a forged length alone does not cost memory
      auto larger = std::make_unique_for_overwrite<char[]>(2 * capacity_);
      std::memcpy(larger.get(), buffer_.get(), end_);
      buffer_ = std::move(larger);
      capacity_ *= 2;
    }
    const std::size_t got = source_->read(buffer_.get() + end_, capacity_ - end_);
    end_ += got;
    to_come_ -= static_cast<std::int64_t>(got);
    if (got == 0) return false;
  }
  return true;
}

bool TfRecordReader::frame(std::size_t& length) {
  offset_ = next_offset_;
  if (lost_ || (!ensure(kHeader) && unread() == 0)) return false;
  ++record_;
  if (unread() < kHeader)
    refuse(fmt::format("the file ends after {} of the {} bytes of the header; it is truncated",
                       unread(), kHeader),
           true);
  const char* head = buffer_.get() + begin_;
  if (!is_frame_header({head, kHeader}))
    refuse("the CRC of the length does not match; the file is damaged here or is not TFRecord",
           true);
  const auto wide = load<std::uint64_t>(head);
  const std::int64_t available = to_come_ + static_cast<std::int64_t>(unread() - kHeader);
  if (wide > static_cast<std::uint64_t>(
                 std::max<std::int64_t>(0, available - static_cast<std::int64_t>(kFooter))))
    refuse(fmt::format("{} bytes long, but the file has only {} more; it is truncated", wide,
                       available),
           true);
  if (wide > static_cast<std::uint64_t>(kMaxRecordBytes))
    refuse(fmt::format("{} bytes long; at most {} are read", wide, kMaxRecordBytes), true);
  length = static_cast<std::size_t>(wide);
  next_offset_ = offset_ + static_cast<std::int64_t>(kHeader + length + kFooter);
  return true;
}

bool TfRecordReader::next(std::string_view& payload) {
  std::size_t length = 0;
  if (!frame(length)) return false;
  if (!ensure(kHeader + length + kFooter))
    refuse(fmt::format("{} bytes long, but the data end before; the file is truncated", length),
           true);
  const char* start = buffer_.get() + begin_ + kHeader;
  payload = {start, length};
  begin_ += kHeader + length + kFooter;
  if (load<std::uint32_t>(start + length) != mask_crc(crc32c(payload)))
    refuse("the CRC of the payload does not match; the record is damaged", false);
  return true;
}

bool TfRecordReader::skip() {
  std::size_t length = 0;
  if (!frame(length)) return false;
  if (!ensure(kHeader + length + kFooter))
    refuse(fmt::format("{} bytes long, but the data end before; the file is truncated", length),
           true);
  begin_ += kHeader + length + kFooter;
  return true;
}

struct TfRecordWriter::Deflate {
  explicit Deflate(int level) : output(1 << 16, '\0') {
    expect(deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
           ErrorKind::out_of_memory, "zlib could not start with level {}", level);
  }
  ~Deflate() { deflateEnd(&stream); }
  void run(std::string_view bytes, int flush, OutputFile& file) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(output.data());
      stream.avail_out = static_cast<uInt>(output.size());
      deflate(&stream, flush);
      file.write({output.data(), output.size() - stream.avail_out});
    } while (stream.avail_out == 0);
  }
  z_stream stream{};
  std::string output;
};

TfRecordWriter::TfRecordWriter(const std::string& path, int level) : file_(path) {
  if (level > 0) deflate_ = std::make_unique<Deflate>(level);
}
TfRecordWriter::~TfRecordWriter() = default;

void TfRecordWriter::emit(std::string_view bytes) {
  if (deflate_)
    deflate_->run(bytes, Z_NO_FLUSH, file_);
  else
    file_.write(bytes);
}

void TfRecordWriter::write(std::string_view payload) {
  const auto header = header_of(payload.size());
  const auto footer = footer_of(payload);
  emit({header.data(), header.size()});
  emit(payload);
  emit({footer.data(), footer.size()});
}

FileRecord TfRecordWriter::finish() {
  if (deflate_) deflate_->run({}, Z_FINISH, file_);
  return file_.finish();
}

std::string frame_record(std::string_view payload) {
  const auto header = header_of(payload.size());
  const auto footer = footer_of(payload);
  std::string frame(header.begin(), header.end());
  frame += payload;
  frame.append(footer.begin(), footer.end());
  return frame;
}

}  // namespace gradmill
