# Flags of everything that is ours.
add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wpedantic -Werror -fno-math-errno -ffunction-sections -fdata-sections)
add_link_options(-Wl,--as-needed -Wl,-O1)

if(SANITIZE)
  # Assertions stay on: the sanitizer build is the one that looks for our bugs.
  set(CMAKE_C_FLAGS_RELEASE "-O1")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=address,undefined)
endif()
if(FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "FUZZ needs clang: -DCMAKE_C_COMPILER=clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
