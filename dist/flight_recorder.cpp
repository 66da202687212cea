#include "dist/flight_recorder.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <iterator>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>

#include "runtime/expect.h"
#include "runtime/handle.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {

int close_file(int descriptor) { return ::close(descriptor); }
using File = Handle<int, close_file, -1>;

constexpr std::array<char, 16> kMagic{"gradmill flight"};
constexpr std::uint32_t kVersion = 1;

static_assert(std::is_trivially_copyable_v<FlightEvent> && sizeof(FlightEvent) == 40);

template <class T>
void publish(T& to, std::type_identity_t<T> value,
             std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<T>(to).store(value, order);
}
template <class T>
T peek(T& from, std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref<T>(from).load(order);
}

std::uint64_t pack_call(Collective what, std::int64_t bytes) {
  // In an all_to_all every rank has a size of its own.
  if (what == Collective::all_to_all) bytes = 0;
  return static_cast<std::uint64_t>(what) << 56 |
         (static_cast<std::uint64_t>(bytes) & (~std::uint64_t{0} >> 8));
}

}  // namespace

struct FlightRecorder::Layout {
  std::array<char, 16> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t event_bytes = sizeof(FlightEvent);
  FlightOrigin origin;
  // The rest is read by other threads and processes while it is written.
  std::int64_t written = 0;                                     // events ever written
  std::int64_t time_ns = 0, step = 0, sequence = 0, bytes = 0;  // the state now
  std::uint32_t state = 0;  // kind, phase, collective, device kind: a byte each
  std::int32_t ordinal = 0;
  std::array<std::uint64_t, 2 * FlightStatus::kCalls> calls{};  // as FlightStatus, by sequence
  std::array<FlightEvent, kEvents> events{};
};

std::string_view phase_name(Phase phase) {
  constexpr std::string_view kNames[] = {"start", "load", "train", "evaluate", "save", "finish"};
  return kNames[static_cast<std::size_t>(phase)];
}

FlightRecorder::FlightRecorder(const FlightOrigin& origin) {
  void* memory =
      ::mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(memory != MAP_FAILED, ErrorKind::out_of_memory, "no memory for the flight recorder");
  layout_ = new (memory) Layout;
  layout_->origin = origin;
  add(FlightEvent::Kind::phase);
}

FlightRecorder::~FlightRecorder() { (void)::munmap(layout_, sizeof(Layout)); }

void FlightRecorder::save_to(const std::string& path) {
  const auto check = [&](bool ok) {
    expect(ok, ErrorKind::cannot_write, "{}: cannot write: {}", path,
           std::generic_category().message(errno));
  };
  check(::unlink(path.c_str()) == 0 || errno == ENOENT);
  const File file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  check(static_cast<bool>(file));
  // All blocks are there before they are mapped: a full disk is an error now, not SIGBUS later.
  const int full = ::posix_fallocate(file.get(), 0, sizeof(Layout));
  errno = full;
  check(full == 0);
  const auto written = ::pwrite(file.get(), layout_, sizeof(Layout), 0);
  check(written == static_cast<ssize_t>(sizeof(Layout)));
  check(::mmap(layout_, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(),
               0) != MAP_FAILED);
}

void FlightRecorder::add(FlightEvent::Kind kind) {
  Layout& to = *layout_;
  current_.kind = kind;
  current_.time_ns = monotonic_ns();
  to.events[static_cast<std::size_t>(to.written % kEvents)] = current_;
  publish(to.written, to.written + 1, std::memory_order_release);
  publish(to.step, current_.step);
  publish(to.sequence, current_.sequence);
  publish(to.bytes, current_.bytes);
  publish(to.ordinal, current_.device_ordinal);
  publish(to.state, static_cast<std::uint32_t>(current_.kind) |
                        static_cast<std::uint32_t>(current_.phase) << 8 |
                        static_cast<std::uint32_t>(current_.collective) << 16 |
                        static_cast<std::uint32_t>(current_.device_kind) << 24);
  publish(to.time_ns, current_.time_ns, std::memory_order_release);
}

void FlightRecorder::phase(Phase phase) {
  current_.phase = phase;
  add(FlightEvent::Kind::phase);
}

void FlightRecorder::step(std::int64_t step) {
  current_.step = step;
  add(FlightEvent::Kind::step);
}

void FlightRecorder::enter(const CollectiveCall& call) {
  current_.collective = call.what;
  current_.sequence = call.sequence;
  current_.bytes = call.bytes;
  current_.device_kind = call.device.kind;
  current_.device_ordinal = call.device.ordinal;
  publish(layout_->calls[static_cast<std::size_t>(call.sequence) % layout_->calls.size()],
          pack_call(call.what, call.bytes), std::memory_order_release);
  add(FlightEvent::Kind::enter);
}

void FlightRecorder::leave() { add(FlightEvent::Kind::leave); }

void FlightRecorder::end(FlightOrigin::End how, int code) {
  layout_->origin.code = code;
  layout_->origin.end = how;
}

FlightStatus FlightRecorder::status() const {
  Layout& from = *layout_;
  FlightStatus now;
  now.last.time_ns = peek(from.time_ns, std::memory_order_acquire);
  now.last.step = peek(from.step);
  now.last.sequence = peek(from.sequence);
  now.last.bytes = peek(from.bytes);
  now.last.device_ordinal = peek(from.ordinal);
  const std::uint32_t state = peek(from.state);
  now.last.kind = static_cast<FlightEvent::Kind>(state & 0xff);
  now.last.phase = static_cast<Phase>(state >> 8 & 0xff);
  now.last.collective = static_cast<Collective>(state >> 16 & 0xff);
  now.last.device_kind = static_cast<DeviceKind>(state >> 24);
  const auto slots = static_cast<std::int64_t>(from.calls.size());
  for (std::int64_t i = 0; i < FlightStatus::kCalls && i < now.last.sequence; ++i)
    now.calls[i] = peek(from.calls[static_cast<std::size_t>((now.last.sequence - i) % slots)],
                        std::memory_order_acquire);
  // Who was overtaken by the writer meanwhile has read the calls of other numbers.
  if (peek(from.sequence) - now.last.sequence >= slots - FlightStatus::kCalls)
    std::fill(std::begin(now.calls), std::end(now.calls), 0);
  now.waiting = now.last.kind == FlightEvent::Kind::enter;
  now.idle_seconds = static_cast<double>(monotonic_ns() - now.last.time_ns) / 1e9;
  return now;
}

const FlightOrigin& FlightRecorder::origin() const { return layout_->origin; }

namespace {
bool is_sound(const FlightEvent& event) {
  return event.kind <= FlightEvent::Kind::leave && event.phase <= Phase::finish &&
         event.collective <= Collective::barrier && event.device_kind <= DeviceKind::cuda;
}
}  // namespace

FlightRecord FlightRecorder::read(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  expect(static_cast<bool>(file), ErrorKind::input_missing, "{}: cannot open: {}", path,
         std::generic_category().message(errno));
  const auto layout = std::make_unique<Layout>();
  std::size_t size = 0;
  for (ssize_t got = 1; got > 0 && size < sizeof(Layout); size += static_cast<std::size_t>(got)) {
    got = ::pread(file.get(), reinterpret_cast<char*>(layout.get()) + size, sizeof(Layout) - size,
                  static_cast<off_t>(size));
    expect(got >= 0, ErrorKind::data, "{}: cannot read: {}", path,
           std::generic_category().message(errno));
  }
  FlightRecord record{layout->origin, {}};
  FlightOrigin& origin = record.origin;
  expect(size == sizeof(Layout) && layout->magic == kMagic && layout->version == kVersion &&
             layout->event_bytes == sizeof(FlightEvent) && layout->written >= 0 &&
             origin.end <= FlightOrigin::End::failed && origin.rank >= 0 &&
             origin.world_size > origin.rank,
         ErrorKind::data, "{}: no flight record of this version", path);
  origin.host[sizeof origin.host - 1] = '\0';
  const std::int64_t first = std::max<std::int64_t>(0, layout->written - kEvents);
  for (std::int64_t n = first; n < layout->written; ++n) {
    const FlightEvent& event = layout->events[static_cast<std::size_t>(n % kEvents)];
    // The oldest may be overwritten while it is read.
    if (is_sound(event)) record.events.push_back(event);
  }
  return record;
}

}  // namespace gradmill
