// Tells a processor that is too old for this build, instead of an illegal instruction later.
#pragma once

namespace gradmill {

extern const bool kBuiltForAvx512;
extern const bool kBuiltForAvx2;

}  // namespace gradmill
