#include "launch/options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>  // the one file that includes it

#include "launch/nearest.h"
#include "launch/version.h"
#include "runtime/exit_codes.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
/// An option that is another name of a configuration key; of another one for models of samples.
struct KeyFlag {
  const char* flags;
  const char* key;
  const char* sample_key = nullptr;
};

constexpr KeyFlag kDataFlags[] = {
    {"--label", "data.label"},           {"--label-strip", "data.label_strip"},
    {"--quotes", "data.quotes"},         {"--format", "data.format"},
    {"--index-base", "data.index_base"}, {"--user-column", "data.user"},
    {"--item-column", "data.item"},      {"--rating-column", "data.rating"},
    {"--weight-column", "data.weight"},  {"--timestamp-column", "data.timestamp"},
    {"--delimiter", "data.delimiter"},   {"--header", "data.header"},
    {"--layout", "data.layout"},         {"--bad-records", "data.bad_records"},
    {"--threads", "train.threads"},
};
constexpr KeyFlag kTrainFlags[] = {
    {"-d,--data", "data.train"},
    {"--valid", "data.valid"},
    {"--holdout", "data.holdout"},
    {"--split", "data.split"},
    {"-a,--algorithm", "model.algorithm"},
    {"-k,--num-factors", "model.num_factors"},
    {"--solver", "model.solver"},
    {"--regularization,--l2", "model.regularization", "optimizer.l2"},
    {"--alpha", "model.alpha"},
    {"--unobserved-weight", "model.unobserved_weight"},
    {"-l,--learning-rate", "model.learning_rate", "optimizer.learning_rate"},
    {"--loss", "loss.kind"},
    {"--class-weight", "loss.class_weight"},
    {"--optimizer", "optimizer.kind"},
    {"--l1", "optimizer.l1"},
    {"--hidden", "model.hidden"},
    {"--dropout", "model.dropout"},
    {"--embedding-dim", "model.embedding_dim"},
    {"--schedule", "optimizer.schedule"},
    {"--tolerance", "optimizer.tolerance"},
    {"--global-batch", "train.global_batch"},
    {"--num-features", "data.num_features"},
    {"--epochs", "train.epochs"},
    {"--patience", "train.patience"},
    {"--metric", "train.metric"},
    {"--cut-off", "train.cut_off"},
    {"--device", "train.device"},
    {"--seed", "run.seed"},
    {"--name", "run.name"},
    {"--dir", "run.dir"},
    {"--resume", "run.resume"},
    {"-i,--init", "run.init"},
};

constexpr KeyFlag kFeatureFlags[] = {
    {"-b,--hash-bits", "data.hash_bits"},
    {"--text", "data.text"},
};

class Parser {
 public:
  Parser();
  ParsedCommandLine parse(int argc, const char* const* argv);

 private:
  CLI::App* verb(const std::string& name, const std::string& help, const std::string& examples);
  void key_flags(CLI::App* app, std::span<const KeyFlag> flags);
  void feature_flags(CLI::App* app);
  void set_option(CLI::App* app);
  void model_target(CLI::App* app);
  void add_train();
  void add_model_verbs();
  void add_data_verbs();
  void add_run_verbs();
  void assign();
  [[noreturn]] void explain(const CLI::ParseError& error,
                            const std::vector<std::string>& words) const;

  CLI::App app_{"gradmill trains recommenders, linear models and neural networks on CPUs and GPUs.",
                "gradmill"};
  Options options_;
  struct Flagged {
    KeyFlag flag;
    std::string value;
  };
  std::vector<Flagged> flagged_;  // in the order of the command line
  std::vector<std::string> set_, interactions_;
  Config help_config_;
};

const char* kind_words(unsigned kinds) {
  switch (kinds) {
    case kForMf:
      return "matrix factorization";
    case kForLinear:
      return "linear models";
    case kForMlp:
      return "MLPs";
    case kForSamples:
      return "linear models and MLPs";
    default:
      return "all models";
  }
}

/// "Exit codes: 0 done, 64 usage, …" in lines of at most 100 columns.
std::string exit_code_lines() {
  std::string lines, line = "Exit codes: 0 done";
  for (const ExitCode& each : exit_codes()) {
    const std::string word = fmt::format("{} {}", each.code, each.name);
    line += ",";
    if (line.size() + word.size() > 98) {
      lines += line + "\n";
      line = "  " + word;
    } else {
      line += " " + word;
    }
  }
  return lines + line + " (docs/exit-codes.md)\n";
}

Parser::Parser() {
  app_.require_subcommand(1);
  app_.set_version_flag("--version", version_line());
  app_.get_formatter()->column_width(34);
  app_.footer(exit_code_lines() +
              "Examples:\n"
              "  gradmill train mf --data ratings.csv\n"
              "  gradmill train linear --data train.svm --valid test.svm\n"
              "  mpirun -n 4 gradmill train config.toml --set model.num_factors=128\n"
              "  gradmill recommend runs/mf-0001 --user 42 --count 10\n"
              "gradmill VERB --help tells more.");
  add_train();
  add_model_verbs();
  add_data_verbs();
  add_run_verbs();
}

CLI::App* Parser::verb(const std::string& name, const std::string& help,
                       const std::string& examples) {
  CLI::App* app = app_.add_subcommand(name, help);
  app->footer("Examples:\n" + examples);
  app->add_flag("--quiet", options_.quiet, "warnings and errors only");
  app->add_flag("-v,--verbose", options_.verbose, "more of what is going on");
  return app;
}

void Parser::key_flags(CLI::App* app, std::span<const KeyFlag> flags) {
  const auto keys = config_keys(help_config_);
  for (const KeyFlag& flag : flags) {
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const ConfigKey& k) { return k.name == flag.key; });
    unsigned kinds = 0;
    for (const ConfigKey& k : keys)
      if (k.name == flag.key) kinds |= k.kinds;
    const std::string also = flag.sample_key ? fmt::format(", {}", flag.sample_key) : "";
    CLI::Option* option = app->add_option_function<std::string>(
        flag.flags,
        [this, flag](const std::string& value) {
          flagged_.push_back({flag, value});
        },
        fmt::format("{} ({}{})", key->help, flag.key, also));
    option->type_name("");
    if (!flag.sample_key && kinds != kForAll)
      option->group(fmt::format("Options for {}", kind_words(kinds)));
  }
}

void Parser::add_train() {
  std::string keys = "Keys of --set and of the configuration file\n";
  for (const unsigned kinds : {kForAll, kForMf, kForSamples, kForLinear, kForMlp}) {
    keys += fmt::format("for {}:\n", kind_words(kinds));
    for (const ConfigKey& key : config_keys(help_config_))
      if (key.kinds == kinds) keys += fmt::format("  {:<28} {}\n", key.name, key.help);
  }
  keys += "and of each [[features]] table of a linear model or MLP:\n";
  FeatureSpec feature;
  for (const ConfigKey& key : feature_keys(feature))
    keys += fmt::format("  {:<28} {}\n", key.name, key.help);
  CLI::App* app =
      verb("train", "train a model",
           "  gradmill train mf --data ratings.csv\n"
           "  gradmill train mf --data u1.base --valid u1.test --algorithm sgd --epochs 30\n"
           "  gradmill train mf --data plays.csv --algorithm ials --num-factors 64 --device cuda\n"
           "  gradmill train linear --data a9a --valid a9a.t --l2 1e-4\n"
           "  gradmill train linear --data clicks.csv --label click --optimizer ftrl -b 22\n"
           "  gradmill train mlp --data clicks.csv --label click --hidden 256,128 --epochs 5\n"
           "  gradmill train run.toml --set model.regularization=0.05 --resume auto\n"
           "  mpirun -n 8 gradmill train run.toml\n\n" +
               keys);
  app->add_option("what", options_.target, "mf, linear, mlp, or a configuration file (TOML)")
      ->required();
  key_flags(app, kTrainFlags);
  key_flags(app, kDataFlags);
  feature_flags(app);
  app->add_flag_callback(
         "--implicit",
         [this] {
           flagged_.push_back({{"--implicit", "model.algorithm"}, "ials"});
         },
         "implicit feedback: the same as --algorithm ials")
      ->group(fmt::format("Options for {}", kind_words(kForMf)));
  set_option(app);
  app->add_option("--trace", options_.trace,
                  "write a Chrome trace of the run's phases (one a rank)");
}

void Parser::feature_flags(CLI::App* app) {
  key_flags(app, kFeatureFlags);
  app->add_option("-q,--interactions", interactions_,
                  "A,B: columns to cross; may be repeated (data.interactions)")
      ->group(fmt::format("Options for {}", kind_words(kForSamples)));
}

void Parser::set_option(CLI::App* app) {
  app->add_option("--set", set_, "KEY=VALUE: any key of the configuration; may be repeated");
}

void Parser::model_target(CLI::App* app) {
  app->add_option("model", options_.target, "a run's folder, its model/, or a checkpoint")
      ->required();
}

void Parser::add_model_verbs() {
  static constexpr KeyFlag kData[] = {{"-d,--data", "data.train"}};
  static constexpr KeyFlag kDevice[] = {{"--device", "train.device"}};
  CLI::App* evaluate = verb("evaluate", "measure a model on held-out data",
                            "  gradmill evaluate runs/mf-0001 --data test.csv --cut-off 20\n"
                            "  gradmill evaluate runs/linear-0001 --data a9a.t --json");
  model_target(evaluate);
  static constexpr KeyFlag kCutOff[] = {{"--cut-off", "train.cut_off"}};
  key_flags(evaluate, kData);
  key_flags(evaluate, kCutOff);
  key_flags(evaluate, kDataFlags);
  key_flags(evaluate, kDevice);
  evaluate->add_flag("--json", options_.json, "one JSON object on standard output");

  CLI::App* predict =
      verb("predict", "predict ratings of (user, item) pairs, or classes and values of samples",
           "  gradmill predict runs/mf-0001 --data pairs.csv --output predictions.csv\n"
           "  gradmill predict runs/linear-0001 --data new.csv --output predictions.jsonl\n"
           "  head new.csv | gradmill predict runs/linear-0001 --data -");
  model_target(predict);
  key_flags(predict, kData);
  key_flags(predict, kDataFlags);
  key_flags(predict, kDevice);
  predict->add_option("-o,--output", options_.output,
                      "a .csv, .jsonl or .h5 file; default: CSV on standard output");
  predict->add_flag("--scores", options_.scores, "linear models and MLPs: also the raw scores");

  CLI::App* recommend = verb("recommend", "the best items for users",
                             "  gradmill recommend runs/mf-0001 --user 42\n"
                             "  gradmill recommend runs/mf-0001 --count 100 --output all.csv\n"
                             "  gradmill recommend runs/mf-0001 --fold-in new-users.csv");
  model_target(recommend);
  recommend->add_option("-u,--user", options_.users,
                        "id of a user; may be repeated; default: all users");
  recommend->add_option("--users-file", options_.users_file, "a file with one user id a line");
  recommend->add_option("--fold-in", options_.fold_in,
                        "ratings of users that are new to the model");
  recommend->add_option("-n,--count,--k", options_.count, "items for each user (10)")
      ->check(CLI::Range(1, 1024));
  recommend->add_option("--exclude", options_.exclude, "ratings whose items are left out as well");
  recommend->add_flag("--with-seen", options_.with_seen, "also items that the user has rated");
  recommend->add_option("-o,--output", options_.output,
                        "a .csv or .jsonl file, - for CSV on standard output; default: a table");
  key_flags(recommend, kDataFlags);
  key_flags(recommend, kDevice);

  CLI::App* export_verb = verb("export", "write a model's parameters for other programs",
                               "  gradmill export runs/mf-0001 --output factors.safetensors\n"
                               "  gradmill export runs/mf-0001 --output factors.npz\n"
                               "  gradmill export runs/linear-0001 --output weights.csv");
  model_target(export_verb);
  export_verb
      ->add_option("-o,--output", options_.output,
                   "a .safetensors or .npz file; of linear models also .csv")
      ->required();
}

void Parser::add_data_verbs() {
  CLI::App* convert = verb("convert", "turn ratings, samples or records into a sharded data set",
                           "  gradmill convert ratings.csv ratings/ --to hdf5 --shards 8\n"
                           "  gradmill convert 'part-*.csv.gz' ratings/ --to tfrecord --shards 4\n"
                           "  gradmill convert train.svm.gz clicks/ --shards 8\n"
                           "  gradmill convert adult.csv adult/ --label income\n"
                           "  gradmill convert adult-test.csv adult-test/ --like runs/linear-0001\n"
                           "  gradmill convert run.toml adult/ --shards 8");
  convert
      ->add_option("source", options_.target,
                   "a file, folder or glob pattern, or a configuration (TOML) that names it")
      ->required();
  convert->add_option("folder", options_.output, "the data set's folder")->required();
  convert->add_option("--to", options_.to, "hdf5 or tfrecord")
      ->check(CLI::IsMember({"hdf5", "tfrecord"}));
  convert->add_option("--shards", options_.shards, "number of shards")
      ->check(CLI::Range(1, 100000));
  convert->add_option("--deflate", options_.deflate, "compression, 0 (none) to 9")
      ->check(CLI::Range(0, 9));
  convert->add_flag("--force", options_.force, "replace a data set that is there");
  convert->add_option("--like", options_.like,
                      "a model: records become its features, instead of new ones");
  key_flags(convert, kDataFlags);
  feature_flags(convert);
  set_option(convert);

  CLI::App* inspect =
      verb("inspect", "what is in a data set, shard, checkpoint or model",
           "  gradmill inspect ratings/\n  gradmill inspect runs/mf-0001/model --json\n"
           "  gradmill inspect runs/linear-0001 --top 20");
  inspect->add_option("path", options_.target, "a file or folder")->required();
  inspect->add_flag("--json", options_.json, "as JSON");
  inspect->add_option("--top", options_.top, "linear models: the so many largest coefficients")
      ->check(CLI::Range(1, 1000000));

  CLI::App* validate =
      verb("validate", "check a data set from end to end",
           "  gradmill validate ratings.csv --min 1 --max 5\n  gradmill validate ratings/ --json\n"
           "  gradmill validate adult.csv --label income\n"
           "  gradmill validate new.csv --like runs/linear-0001");
  validate->add_option("path", options_.target, "a file, folder or glob pattern")->required();
  validate->add_flag("--json", options_.json, "as JSON");
  validate->add_option("--min", options_.min_value, "smallest allowed rating, or label");
  validate->add_option("--max", options_.max_value, "largest allowed rating, or label");
  validate->add_option("--like", options_.like,
                       "a model: records must have its columns and classes");
  key_flags(validate, kDataFlags);
  feature_flags(validate);

  CLI::App* doctor =
      verb("doctor", "check this machine: devices, libraries, limits", "  gradmill doctor");
  doctor->add_flag("--json", options_.json, "as JSON");
  verb("version", "version, build and libraries", "  gradmill version");
}

void Parser::add_run_verbs() {
  CLI::App* launch = verb(
      "launch", "start a training run on many processes, and again after failures",
      "  gradmill launch --nproc 4 -- train mf --data ratings.csv\n"
      "  gradmill launch --nnodes 4 --nproc-per-node 8 --hostfile hosts -- train run.toml\n"
      "  sbatch --wrap 'gradmill launch -- train run.toml'\n"
      "SIGTERM, SIGUSR1 or Ctrl-C: the run saves and stops with code 75; a second one kills it.\n"
      "Code 82: --max-restarts in a row without a new checkpoint.");
  LaunchOptions& to = options_.launch;
  const CLI::Range natural(0, 1 << 20);
  launch->add_option("-n,--nproc", to.nproc, "processes in all")->check(natural);
  launch
      ->add_option("--nproc-per-node,--nproc_per_node", to.nproc_per_node,
                   "processes on each host (1)")
      ->check(natural);
  launch->add_option("--nnodes", to.nnodes, "hosts to use; default: all that are given")
      ->check(natural);
  launch
      ->add_option("--max-restarts,--max_restarts", to.max_restarts,
                   "restarts in a row without a new checkpoint (3)")
      ->check(natural);
  launch->add_option("--hosts", to.hosts, "A,B,C: hosts for mpirun; default: this one, or Slurm's");
  launch->add_option("--hostfile", to.hostfile, "a file with one host a line");
  launch->add_option("--grace", to.grace_s, "seconds to save and stop in, when asked to (600)");
  launch->add_option("--stall-timeout", to.stall_s,
                     "kill and restart when no rank has recorded anything for so many seconds; 0: "
                     "never");
  launch->add_option("--mpirun", to.mpirun, "the mpirun to use");
  launch->add_flag("--dry-run", to.dry_run, "print the command that starts the ranks");
  launch->prefix_command();

  CLI::App* diagnose =
      verb("diagnose", "why a run ended or where it hangs, from its flight recorders",
           "  gradmill diagnose runs/mf-0001\n  gradmill diagnose runs/mf-0001 --json");
  diagnose->add_option("run", options_.target, "the run's folder")->required();
  diagnose->add_flag("--json", options_.json, "as JSON");
}

void Parser::explain(const CLI::ParseError& error, const std::vector<std::string>& words) const {
  const CLI::App* app = &app_;
  std::vector<std::string> candidates;
  if (const auto chosen = app_.get_subcommands(); !chosen.empty()) app = chosen.front();
  for (const CLI::Option* option : app->get_options())
    for (const std::string& name : option->get_lnames()) candidates.push_back("--" + name);
  if (app == &app_) {
    for (const CLI::App* sub : app_.get_subcommands(nullptr)) candidates.push_back(sub->get_name());
    for (const std::string& word : words) {
      if (word.starts_with("-")) continue;
      fail(ErrorKind::usage, "unknown verb \"{}\"{}; see gradmill --help", word,
           did_you_mean(word, candidates));
    }
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    for (const std::string& word : words) {
      const std::string flag = word.substr(0, word.find('='));
      if (!flag.starts_with("-") ||
          std::find(candidates.begin(), candidates.end(), flag) != candidates.end())
        continue;
      fail(ErrorKind::usage, "unknown option {}{}; see gradmill {} --help", flag,
           did_you_mean(flag, candidates), app->get_name());
    }
  }
  fail(ErrorKind::usage, "{}; see gradmill {} --help", error.what(),
       app == &app_ ? "" : app->get_name());
}

/// What the flags say, as assignments to keys.
void Parser::assign() {
  const bool samples = options_.config.kind != "mf";
  for (const auto& [flag, value] : flagged_)
    options_.assignments.push_back(
        {samples && flag.sample_key ? flag.sample_key : flag.key, value, flag.flags});
  std::string crossed;
  for (std::string pair : interactions_) {
    std::replace(pair.begin(), pair.end(), ',', '*');
    crossed += (crossed.empty() ? "" : ",") + pair;
  }
  if (!crossed.empty())
    options_.assignments.push_back({"data.interactions", crossed, "-q,--interactions"});
  for (const std::string& pair : set_) {
    const auto equals = pair.find('=');
    expect(equals != pair.npos, ErrorKind::usage, "--set {}: expected key=value", pair);
    options_.assignments.push_back({pair.substr(0, equals), pair.substr(equals + 1), "--set"});
  }
}

ParsedCommandLine Parser::parse(int argc, const char* const* argv) {
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  std::vector<const char*> given(argv, argv + argc);
  // What is launched begins at its verb; CLI11 takes no "--" before it.
  if (!words.empty() && words.front() == "launch")
    if (const auto mark = std::find(given.begin(), given.end(), std::string_view("--"));
        mark != given.end())
      given.erase(mark);
  try {
    app_.parse(static_cast<int>(given.size()), given.data());
  } catch (const CLI::Success& done) {  // --help, --version
    return {options_, app_.exit(done)};
  } catch (const CLI::ParseError& error) {
    explain(error, words);
  }
  options_.verb = app_.get_subcommands().front()->get_name();
  if (options_.verb == "launch") {
    options_.launch.command = app_.get_subcommands().front()->remaining();
    return {options_, std::nullopt};
  }
  Config& config = options_.config;
  if (options_.verb == "train") {
    if (options_.target == "mf" || options_.target == "linear" || options_.target == "mlp") {
      config.kind = options_.target;
    } else {
      expect(
          options_.target.ends_with(".toml"), ErrorKind::usage,
          "train {}: expected mf, linear, mlp, or a configuration file whose name ends with .toml",
          options_.target);
      load_config_file(config, options_.target);
    }
  }
  if (options_.verb == "convert" && options_.target.ends_with(".toml"))
    load_config_file(config, options_.target);
  load_config_environment(config);
  assign();
  for (const Assignment& a : options_.assignments) set_config(config, a.key, a.value, a.where);
  complete(config);
  if (options_.verb == "train") validate(config);
  return {options_, std::nullopt};
}
}  // namespace

ParsedCommandLine parse_command_line(int argc, const char* const* argv) {
  Parser parser;
  return parser.parse(argc, argv);
}

}  // namespace gradmill
