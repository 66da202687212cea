#include "data/hdf5_column.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "data/fletcher32.h"
#include "data/hdf5_probe.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Filter = Hdf5Column::Filter;

bool applies(std::size_t filter, std::uint32_t skipped) { return !(skipped >> filter & 1); }

/// HDF5 before 1.6.3 stored the sum with the bytes of both halves swapped.
bool is_sum(std::uint32_t stored, std::uint32_t sum) {
  return stored == sum || stored == ((sum & 0x00ff00ffu) << 8 | (sum >> 8 & 0x00ff00ffu));
}

void check_sum(const char* bytes, std::size_t size, std::uint32_t stored) {
  expect(is_sum(stored, fletcher32(bytes, size)), ErrorKind::data,
         "the fletcher32 sum does not match: damaged");
}

void inflate_to(std::string_view packed, std::size_t bytes, std::string& to) {
  to.resize(bytes);
  uLongf size = bytes;
  uLong used = packed.size();
  const int status = uncompress2(reinterpret_cast<Bytef*>(to.data()), &size,
                                 reinterpret_cast<const Bytef*>(packed.data()), &used);
  expect(status == Z_OK && size == bytes, ErrorKind::data, "the deflate data are damaged");
}

template <std::size_t Bytes>
void unshuffle_fixed(const char* from, std::size_t values, char* to) {
  for (std::size_t v = 0; v < values; ++v)
    for (std::size_t b = 0; b < Bytes; ++b) to[v * Bytes + b] = from[b * values + v];
}

void unshuffle(std::string_view from, std::size_t bytes, std::string& to) {
  to.resize(from.size());
  const std::size_t values = from.size() / bytes;
  switch (bytes) {
    case 1:
      to = from;
      return;
    case 2:
      unshuffle_fixed<2>(from.data(), values, to.data());
      break;
    case 4:
      unshuffle_fixed<4>(from.data(), values, to.data());
      break;
    case 8:
      unshuffle_fixed<8>(from.data(), values, to.data());
      break;
    default:
      for (std::size_t v = 0; v < values; ++v)
        for (std::size_t b = 0; b < bytes; ++b) to[v * bytes + b] = from[b * values + v];
  }
  std::copy(from.begin() + static_cast<std::ptrdiff_t>(values * bytes), from.end(),
            to.begin() + static_cast<std::ptrdiff_t>(values * bytes));
}

/// True if the chunk is its rows and a sum behind them.
bool only_sum(const Hdf5Column& column, std::uint32_t skipped) {
  int sums = 0, others = 0;
  for (std::size_t f = 0; f < column.filters.size(); ++f)
    if (applies(f, skipped)) ++(column.filters[f] == Filter::fletcher32 ? sums : others);
  return sums == 1 && others == 0;
}

bool unfiltered(const Hdf5Column& column, std::uint32_t skipped) {
  for (std::size_t f = 0; f < column.filters.size(); ++f)
    if (applies(f, skipped)) return false;
  return true;
}

/// Rows [begin, begin + count) of chunk c.
void read_chunk_rows(const InputFile& file, const Hdf5Column& column, std::int64_t c,
                     std::int64_t begin, std::int64_t count, char* to, Hdf5Scratch& scratch) {
  const Hdf5Column::Chunk& chunk = column.chunks[static_cast<std::size_t>(c)];
  const std::int64_t width = column.row_bytes(), raw_bytes = column.chunk_rows * width;
  const auto bytes = static_cast<std::size_t>(count * width);
  if (unfiltered(column, chunk.skipped_filters))
    return file.read_at(chunk.offset + begin * width, to, bytes);
  if (only_sum(column, chunk.skipped_filters) && count == column.chunk_rows) {
    std::uint32_t sum;
    file.read_at(chunk.offset, to, bytes);
    file.read_at(chunk.offset + raw_bytes, &sum, sizeof sum);
    return check_sum(to, bytes, sum);
  }
  scratch.stored.resize(static_cast<std::size_t>(chunk.bytes));
  file.read_at(chunk.offset, scratch.stored.data(), scratch.stored.size());
  decode_hdf5_chunk(column, chunk.skipped_filters, raw_bytes, scratch);
  std::memcpy(to, scratch.decoded.data() + begin * width, bytes);
}

}  // namespace

void decode_hdf5_chunk(const Hdf5Column& column, std::uint32_t skipped_filters,
                       std::int64_t raw_bytes, Hdf5Scratch& scratch) {
  std::string *data = &scratch.stored, *other = &scratch.decoded;
  for (std::size_t f = column.filters.size(); f-- > 0;) {
    if (!applies(f, skipped_filters)) continue;
    if (column.filters[f] == Filter::fletcher32) {
      expect(data->size() >= 4, ErrorKind::data, "a chunk of {} bytes has no fletcher32 sum",
             data->size());
      std::uint32_t sum;
      std::memcpy(&sum, data->data() + data->size() - 4, 4);
      data->resize(data->size() - 4);
      check_sum(data->data(), data->size(), sum);
      continue;
    }
    if (column.filters[f] == Filter::deflate) {
      auto bytes = static_cast<std::size_t>(raw_bytes);
      for (std::size_t before = 0; before < f; ++before)
        if (applies(before, skipped_filters) && column.filters[before] == Filter::fletcher32)
          bytes += 4;
      inflate_to(*data, bytes, *other);
    } else {
      unshuffle(*data, column.element.bytes, *other);
    }
    std::swap(data, other);
  }
  expect(data->size() == static_cast<std::size_t>(raw_bytes), ErrorKind::data,
         "a chunk has {} bytes instead of {}", data->size(), raw_bytes);
  if (data != &scratch.decoded) scratch.decoded.swap(scratch.stored);
}

void read_hdf5_rows(const InputFile& file, const Hdf5Column& column, std::int64_t first,
                    std::int64_t count, char* to, Hdf5Scratch& scratch) {
  require(column.direct && first >= 0 && count >= 0 && first + count <= column.rows,
          "rows {} + {} of {}", first, count, column.rows);
  while (count > 0) {
    const std::int64_t c = first / column.chunk_rows, begin = first - c * column.chunk_rows;
    const std::int64_t rows = std::min(count, column.chunk_rows - begin);
    try {
      read_chunk_rows(file, column, c, begin, rows, to, scratch);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data ||
          std::string_view(error.what()).starts_with(file.path()))
        throw;
      fail(ErrorKind::data, "{}: data set {}, rows {} to {}: {}", file.path(), column.path,
           c * column.chunk_rows, std::min((c + 1) * column.chunk_rows, column.rows) - 1,
           error.what());
    }
    to += rows * column.row_bytes();
    first += rows;
    count -= rows;
  }
}

Hdf5ChildColumn::Hdf5ChildColumn(const std::string& path, const Hdf5Column& column,
                                 std::int64_t first, std::int64_t count, const ChildLimits& limits)
    : name_(path + ": data set " + column.path),
      element_(sent_element(column.element)),
      child_(
          path,
          [&](const ChildProcess::Send& send) {
            Hdf5Probe(path).send_rows(column.path, first, count, send);
          },
          limits) {}

void Hdf5ChildColumn::receive() {
  expect(child_.next(message_) && !message_.empty(), ErrorKind::data, "{}: ends too early", name_);
  used_ = 0;
}

void Hdf5ChildColumn::read(std::int64_t count, std::string& to) {
  const bool variable = element_.kind == Hdf5Element::Kind::variable_text;
  while (count > 0) {
    if (used_ == message_.size()) receive();
    std::size_t bytes = element_.bytes;
    std::int64_t values = 1;
    const std::size_t left = message_.size() - used_;
    if (variable) {
      std::uint32_t length = 0;
      if (left >= sizeof length) std::memcpy(&length, message_.data() + used_, sizeof length);
      bytes = sizeof length + length;
    } else {
      values = std::min(count, static_cast<std::int64_t>(left / bytes));
      bytes *= static_cast<std::size_t>(values);
    }
    expect(values > 0 && bytes <= left, ErrorKind::data, "{}: the file is damaged", name_);
    to.append(message_, used_, bytes);
    used_ += bytes;
    count -= values;
  }
}

Hdf5ColumnReader::Hdf5ColumnReader(const InputFile& file, const Hdf5Column& column,
                                   std::int64_t first, std::int64_t count, ThreadPool* pool,
                                   const ChildLimits& limits)
    : file_(file), column_(column), row_(first), end_(first + count), pool_(pool) {
  require(first >= 0 && count >= 0 && end_ <= column.rows &&
              column.element.kind != Hdf5Element::Kind::variable_text,
          "rows {} + {} of {}", first, count, column.rows);
  scratch_.resize(pool ? static_cast<std::size_t>(pool->size()) : 1);
  if (!column.direct && count > 0)
    child_ = std::make_unique<Hdf5ChildColumn>(file.path(), column, first, count, limits);
}

std::string_view Hdf5ColumnReader::read(std::int64_t count) {
  buffer_.erase(0, used_);
  const auto width = static_cast<std::int64_t>(element().bytes);
  const std::int64_t missing = count - static_cast<std::int64_t>(buffer_.size()) / width;
  if (missing > 0) {
    require(missing <= end_ - row_, "{} rows are left of {}", end_ - row_, missing);
    if (child_) {
      child_->read(missing, buffer_);
      row_ += missing;
    } else {
      decode(missing);
    }
  }
  used_ = static_cast<std::size_t>(count * width);
  return std::string_view(buffer_).substr(0, used_);
}

void Hdf5ColumnReader::decode(std::int64_t rows) {
  const std::int64_t width = column_.element.bytes, step = column_.chunk_rows;
  std::int64_t to = row_ + rows;
  if (!column_.filters.empty()) to = std::min(end_, (to - 1) / step * step + step);
  const std::size_t had = buffer_.size();
  buffer_.resize(had + static_cast<std::size_t>((to - row_) * width));
  const std::int64_t from = row_, chunks = (to - 1) / step - from / step + 1;
  const auto run = [&](std::int64_t first, std::int64_t last, int thread) {
    for (std::int64_t c = from / step + first; c < from / step + last; ++c) {
      const std::int64_t begin = std::max(from, c * step), end = std::min(to, (c + 1) * step);
      read_hdf5_rows(file_, column_, begin, end - begin,
                     buffer_.data() + had + (begin - from) * width,
                     scratch_[static_cast<std::size_t>(thread)]);
    }
  };
  if (pool_)
    pool_->parallel_for(chunks, 1, run);
  else
    run(0, chunks, 0);
  row_ = to;
}

}  // namespace gradmill
