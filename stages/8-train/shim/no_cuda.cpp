// Stands in for cuda.cpp where libtorch has no CUDA half.
#include "shim.h"

namespace {

char *missing() { return strdup("this program was built with a libtorch that has no CUDA"); }

} // namespace

extern "C" {

bool catgen_recorder_available() { return false; }
char *catgen_recorder_new(void **) { return missing(); }
void catgen_recorder_free(void *) {}
char *catgen_recorder_enter(void *) { return missing(); }
char *catgen_recorder_leave(void *) { return missing(); }
char *catgen_recorder_begin(void *, int) { return missing(); }
char *catgen_recorder_end(void *, int) { return missing(); }
char *catgen_recorder_replay(void *, int) { return missing(); }
void catgen_allow_tf32() {}

}
