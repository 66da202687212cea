#include "dist/communicator.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  std::string_view name() const override { return "self"; }

 protected:
  void wait_for_all() override {}
  void all_reduce_sum(const Context&, void*, std::int64_t, ElementType, Device) override {}
  void broadcast(const Context&, void*, std::int64_t, ElementType, Device, int root) override {
    require(root == 0, "broadcast from rank {} in a world of one", root);
  }
  void all_gather(const Context& ctx, const void* mine, Counts counts, void* all, ElementType type,
                  Device device) override {
    copy_part(ctx, all, mine, counts[0], type, device);
  }
  void reduce_scatter_sum(const Context& ctx, const void* all, Counts counts, void* mine,
                          ElementType type, Device device) override {
    copy_part(ctx, mine, all, counts[0], type, device);
  }
  void all_to_all(const Context& ctx, const void* send, Counts send_counts, void* receive,
                  Counts receive_counts, ElementType type, Device device) override {
    require(send_counts[0] == receive_counts[0], "all_to_all: {} elements sent, {} expected",
            send_counts[0], receive_counts[0]);
    copy_part(ctx, receive, send, send_counts[0], type, device);
  }

 private:
  static void copy_part(const Context& ctx, void* to, const void* from, std::int64_t count,
                        ElementType type, Device device) {
    if (to != from)
      copy_bytes(ctx, to, device, from, device,
                 static_cast<std::size_t>(count * element_size(type)));
  }
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>();
}

}  // namespace gradmill
