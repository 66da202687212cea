// Owns HDF5 identifiers. Private to data/: it includes HDF5's header.
#pragma once

#include <hdf5.h>

#include <string_view>
#include <utility>

#include "runtime/expect.h"

namespace gradmill {

template <auto Close>
class Hdf5Handle {
 public:
  /// Errors: ErrorKind::data "<doing> failed" if HDF5 gave no identifier.
  Hdf5Handle(hid_t id, std::string_view doing, ErrorKind kind = ErrorKind::data) : id_(id) {
    expect(id >= 0, kind, "HDF5: cannot {}", doing);
  }
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) (void)Close(id_);
  }
  hid_t get() const { return id_; }
  /// Closes now, so that a failure is seen.
  herr_t close() { return Close(std::exchange(id_, H5I_INVALID_HID)); }

 private:
  hid_t id_;
};

using Hdf5File = Hdf5Handle<H5Fclose>;
using Hdf5Group = Hdf5Handle<H5Gclose>;
using Hdf5Object = Hdf5Handle<H5Oclose>;
using Hdf5Dataset = Hdf5Handle<H5Dclose>;
using Hdf5Space = Hdf5Handle<H5Sclose>;
using Hdf5Type = Hdf5Handle<H5Tclose>;
using Hdf5List = Hdf5Handle<H5Pclose>;
using Hdf5Attribute = Hdf5Handle<H5Aclose>;

}  // namespace gradmill
