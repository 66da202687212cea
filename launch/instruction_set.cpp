// What this build's code may use. Data only: it is read before any other code of the program runs.
#include "launch/instruction_set.h"

namespace gradmill {

#ifdef __AVX512F__
extern const bool kBuiltForAvx512 = true;
#else
extern const bool kBuiltForAvx512 = false;
#endif
#ifdef __AVX2__
extern const bool kBuiltForAvx2 = true;
#else
extern const bool kBuiltForAvx2 = false;
#endif

}  // namespace gradmill
