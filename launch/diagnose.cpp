#include "launch/diagnose.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "data/files.h"
#include "launch/environment.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using State = RankReport::State;
constexpr std::int64_t kMaxErrorBytes = 1 << 20;
/// What a rank was just doing matters less than who started it: a few ranks are named, the rest counted.
constexpr std::size_t kNamed = 8;

std::string device_name(const FlightEvent& event) {
  return event.device_kind == DeviceKind::cuda ? fmt::format("cuda:{}", event.device_ordinal)
                                               : std::string("cpu");
}

std::string call_text(const FlightEvent& event) {
  if (event.collective == Collective::none) return "before any collective";
  return fmt::format("{} #{} ({} bytes, {})", collective_name(event.collective), event.sequence,
                     event.bytes, device_name(event));
}

std::string who(const RankReport& rank) {
  return rank.state == State::absent ? fmt::format("rank {}", rank.rank)
                                     : fmt::format("rank {} (host {}, process {})", rank.rank,
                                                   rank.origin.host, rank.origin.process);
}

std::string where(const RankReport& rank) {
  return fmt::format("phase {}, step {}, {} {}", phase_name(rank.last.phase), rank.last.step,
                     rank.waiting ? "in" : "after", call_text(rank.last));
}

std::string names(const std::vector<const RankReport*>& ranks) {
  std::string text;
  for (std::size_t i = 0; i < std::min(ranks.size(), kNamed); ++i)
    text += fmt::format("{}{}", i ? ", " : "", ranks[i]->rank);
  if (ranks.size() > kNamed) text += fmt::format(" and {} more", ranks.size() - kNamed);
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", text);
}

/// Of a process of this host: the third field of /proc/PID/stat, after the name in parentheses.
State state_of_process(const FlightOrigin& origin) {
  if (host_name() != origin.host) return State::unknown;
  std::ifstream file(fmt::format("/proc/{}/stat", origin.process));
  const std::string stat((std::istreambuf_iterator<char>(file)), {});
  const auto end = stat.rfind(')');
  if (end == stat.npos || end + 2 >= stat.size()) return State::vanished;
  const char state = stat[end + 2];
  if (state == 'Z' || state == 'X') return State::vanished;
  return state == 'T' || state == 't' ? State::stopped : State::running;
}

std::optional<RankError> read_error(const std::string& path) {
  if (!fs::exists(path)) return std::nullopt;
  const Json json = Json::parse(read_file(path, kMaxErrorBytes), nullptr, false);
  if (!json.is_object() || !json.contains("code") || !json["code"].is_number_integer())
    return std::nullopt;
  const auto text = [&](const char* field) {
    return json.contains(field) && json[field].is_string() ? json[field].get<std::string>() : "";
  };
  return RankError{json["code"].get<int>(), text("kind"), text("message")};
}

RankReport report_of(const FlightRecord& record, const std::string& run) {
  RankReport report;
  report.rank = record.origin.rank;
  report.origin = record.origin;
  if (!record.events.empty()) report.last = record.events.back();
  report.last.time_ns += record.origin.clock_offset_ns;
  report.waiting = report.last.kind == FlightEvent::Kind::enter;
  report.error = read_error(fmt::format("{}/error-rank-{:03}.json", run, report.rank));
  report.state = report.error || record.origin.end == FlightOrigin::End::failed ? State::failed
                 : record.origin.end == FlightOrigin::End::done                 ? State::done
                                                                : state_of_process(record.origin);
  return report;
}

std::int64_t position(const RankReport& rank) {
  return 2 * rank.last.sequence + (rank.waiting ? 0 : 1);
}

/// The first number under which two ranks made different calls.
std::optional<std::string> find_mismatch(const std::vector<FlightRecord>& records) {
  std::map<std::int64_t, std::pair<int, FlightEvent>> seen;
  std::map<std::int64_t, std::string> differing;
  for (const FlightRecord& record : records)
    for (const FlightEvent& event : record.events) {
      if (event.kind != FlightEvent::Kind::enter) continue;
      const auto [at, first] = seen.try_emplace(event.sequence, record.origin.rank, event);
      const auto& [rank, other] = at->second;
      const bool same = event.collective == other.collective &&
                        (event.bytes == other.bytes || event.collective == Collective::all_to_all);
      if (!first && !same)
        differing.try_emplace(
            event.sequence,
            fmt::format("the ranks do not make the same calls: rank {} made {}, "
                        "rank {} made {}",
                        rank, call_text(other), record.origin.rank, call_text(event)));
    }
  if (differing.empty()) return std::nullopt;
  return differing.begin()->second;
}

void find_causes(Diagnosis& diagnosis) {
  const auto lost = [](const RankReport& r) {
    return r.error && r.error->code == exit_code(ErrorKind::peer_lost);
  };
  for (const RankReport& rank : diagnosis.ranks)
    if (rank.state == State::failed && rank.error && !lost(rank))
      diagnosis.findings.push_back(fmt::format("{} failed with {} ({}): {}", who(rank),
                                               rank.error->code, rank.error->kind,
                                               rank.error->message));
  for (const RankReport& rank : diagnosis.ranks) {
    if (rank.state == State::vanished)
      diagnosis.findings.push_back(fmt::format(
          "{} ended without a word, as after a kill or a crash: {}", who(rank), where(rank)));
    if (rank.state == State::stopped)
      diagnosis.findings.push_back(fmt::format("{} is stopped: {}", who(rank), where(rank)));
    if (rank.state == State::absent)
      diagnosis.findings.push_back(
          fmt::format("{} has no record: it did not get so far", who(rank)));
  }
  for (const RankReport& rank : diagnosis.ranks)
    if (lost(rank)) {
      diagnosis.findings.push_back(fmt::format("{} gave up: {}", who(rank), rank.error->message));
      return;  // the others say the same
    }
}

/// Who is behind, and who waits for it.
void find_waiting(Diagnosis& diagnosis) {
  const auto ended = [](const RankReport& r) { return r.state == State::done; };
  if (std::all_of(diagnosis.ranks.begin(), diagnosis.ranks.end(), ended)) return;
  const RankReport* last = nullptr;
  for (const RankReport& rank : diagnosis.ranks)
    if (rank.state != State::absent && (!last || position(rank) < position(*last))) last = &rank;
  std::map<std::string, std::vector<const RankReport*>> waiting;
  bool behind = false;
  for (const RankReport& rank : diagnosis.ranks) {
    if (!rank.waiting || &rank == last) continue;
    waiting[call_text(rank.last)].push_back(&rank);
    behind = behind || position(rank) > position(*last);
  }
  if (behind)
    diagnosis.findings.push_back(
        fmt::format("{} is behind the others: {}", who(*last), where(*last)));
  for (const auto& [call, ranks] : waiting)
    diagnosis.findings.push_back(
        fmt::format("{} {} in {}", names(ranks), ranks.size() == 1 ? "waits" : "wait", call));
}

std::string time_text(std::int64_t wall_ns) {
  const std::time_t seconds = wall_ns / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, wall_ns / 1'000'000 % 1000);
}

}  // namespace

std::string_view state_name(State state) {
  constexpr std::string_view kNames[] = {"done",    "failed",  "vanished", "stopped",
                                         "running", "unknown", "absent"};
  return kNames[static_cast<std::size_t>(state)];
}

Diagnosis diagnose(const std::string& run) {
  Diagnosis diagnosis;
  diagnosis.run = run;
  std::vector<FlightRecord> records;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(run + "/flight", error))
    if (entry.path().extension() == ".bin")
      records.push_back(FlightRecorder::read(entry.path().string()));
  expect(!records.empty(), ErrorKind::input_missing,
         "{}: no flight records; a folder that `gradmill train` made is expected", run);
  std::sort(records.begin(), records.end(), [](const FlightRecord& a, const FlightRecord& b) {
    return a.origin.rank < b.origin.rank;
  });
  diagnosis.generation = records.front().origin.generation;
  const int ranks = records.front().origin.world_size;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto record = std::find_if(records.begin(), records.end(), [&](const FlightRecord& each) {
      return each.origin.rank == rank;
    });
    diagnosis.ranks.push_back(record == records.end() ? RankReport{} : report_of(*record, run));
    diagnosis.ranks.back().rank = rank;
  }
  find_causes(diagnosis);
  if (const auto mismatch = find_mismatch(records)) diagnosis.findings.push_back(*mismatch);
  find_waiting(diagnosis);
  return diagnosis;
}

std::string diagnosis_text(const Diagnosis& diagnosis) {
  std::string text = fmt::format("{}, start {}, {} rank{}\n", diagnosis.run, diagnosis.generation,
                                 diagnosis.ranks.size(), diagnosis.ranks.size() == 1 ? "" : "s");
  for (const std::string& finding : diagnosis.findings) text += "  " + finding + "\n";
  if (diagnosis.findings.empty()) text += "  nothing is wrong that the records show\n";
  for (const RankReport& rank : diagnosis.ranks) {
    text += fmt::format("{}: {}", who(rank), state_name(rank.state));
    if (rank.state != State::absent)
      text += fmt::format(", {}, since {}", where(rank), time_text(rank.last.time_ns));
    text += "\n";
  }
  return text;
}

std::string diagnosis_json(const Diagnosis& diagnosis) {
  Json ranks = Json::array();
  for (const RankReport& rank : diagnosis.ranks) {
    Json entry{{"rank", rank.rank}, {"state", state_name(rank.state)}};
    if (rank.state != State::absent)
      entry.update(Json{{"host", rank.origin.host},
                        {"process", rank.origin.process},
                        {"phase", phase_name(rank.last.phase)},
                        {"step", rank.last.step},
                        {"collective", collective_name(rank.last.collective)},
                        {"sequence", rank.last.sequence},
                        {"bytes", rank.last.bytes},
                        {"device", device_name(rank.last)},
                        {"in_collective", rank.waiting},
                        {"since", time_text(rank.last.time_ns)}});
    if (rank.error)
      entry["error"] = Json{
          {"code", rank.error->code}, {"kind", rank.error->kind}, {"message", rank.error->message}};
    ranks.push_back(std::move(entry));
  }
  const Json document{{"run", diagnosis.run},
                      {"generation", diagnosis.generation},
                      {"findings", diagnosis.findings},
                      {"ranks", std::move(ranks)}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gradmill
