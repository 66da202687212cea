# A folder is a target, and USES names everything that it may include (DESIGN: arrows run one way).
#   gradmill_module(kernels SOURCES gram/gram.cpp CUDA gram/gram.cu USES gradmill::runtime)
# makes the static library gradmill_kernels with the alias gradmill::kernels. The CUDA sources are
# left out of a build without CUDA; nothing calls them there (see on_device in runtime/context.h).
# g++ 12 reports its own AVX-512 headers with -Wmaybe-uninitialized (GCC bug 105593), and
# "x" + string with -Wrestrict (GCC bug 105651): hence those two exceptions.
add_library(gradmill_options INTERFACE)
target_include_directories(gradmill_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(gradmill_options INTERFACE GRADMILL_HAS_CUDA=$<BOOL:${GRADMILL_CUDA}>)
target_compile_options(gradmill_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-march=${GRADMILL_ARCH} -Wall -Wextra -Wno-psabi $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-restrict> -fno-math-errno>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${GRADMILL_WERROR}>>:-Werror>
  $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -diag-suppress=554 -Xcompiler=-Wall,-Wextra>
  $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${GRADMILL_WERROR}>>:-Werror=all-warnings>)
if(GRADMILL_SANITIZE)
  target_compile_options(gradmill_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GRADMILL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined>)
  target_link_options(gradmill_options INTERFACE -fsanitize=${GRADMILL_SANITIZE})
endif()

function(gradmill_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;CUDA;USES;LINKS" ${ARGN})
  set(target gradmill_${name})
  if(NOT ARG_SOURCES)  # a folder that is still empty
    file(TOUCH ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp)
    set(ARG_SOURCES ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp)
  endif()
  add_library(${target} STATIC ${ARG_SOURCES} $<$<BOOL:${GRADMILL_CUDA}>:${ARG_CUDA}>)
  add_library(gradmill::${name} ALIAS ${target})
  target_link_libraries(${target} PUBLIC gradmill_options ${ARG_USES} PRIVATE ${ARG_LINKS})
endfunction()
