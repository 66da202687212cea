// What a run's flight recorders and error files say about how it ended, or where it hangs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dist/flight_recorder.h"

namespace gradmill {

/// error-rank-NNN.json of one rank.
struct RankError {
  int code = 0;
  std::string kind, message;
};

struct RankReport {
  enum class State : std::uint8_t {
    done,
    failed,    // and said why
    vanished,  // its process is not there any more, and it said nothing
    stopped,   // by SIGSTOP or a debugger
    running,
    unknown,  // of another host: not ended in words
    absent    // it has no record
  };
  int rank = 0;
  State state = State::absent;
  FlightOrigin origin;
  FlightEvent last;  // time_ns: of the wall clock
  bool waiting = false;
  std::optional<RankError> error;
};
std::string_view state_name(RankReport::State state);

struct Diagnosis {
  std::string run;
  std::int64_t generation = 0;
  std::vector<RankReport> ranks;      // by rank
  std::vector<std::string> findings;  // what matters most first
};

/// Reads the folder of a run that has ended or goes on. Errors: ErrorKind::input_missing if it has no
/// flight records; data.
Diagnosis diagnose(const std::string& run);

std::string diagnosis_text(const Diagnosis& diagnosis);
std::string diagnosis_json(const Diagnosis& diagnosis);

}  // namespace gradmill
