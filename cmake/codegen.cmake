# onnx-latency-codegen, which makes the table of CPUs (models/cpus.json): a program of its own, since LLVM aborts on bad
# input and costs every start-up milliseconds. Built where LLVM 19's C interface is installed.
find_program(LLVM_CONFIG NAMES llvm-config-19)
if(NOT LLVM_CONFIG)
  message(STATUS "LLVM 19 not found: no onnx-latency-codegen")
  return()
endif()
foreach(fact includedir libdir bindir)
  execute_process(COMMAND ${LLVM_CONFIG} --${fact} OUTPUT_VARIABLE LLVM_${fact} OUTPUT_STRIP_TRAILING_WHITESPACE)
endforeach()
find_library(LLVM_LIBRARY NAMES LLVM-19 PATHS ${LLVM_libdir} NO_DEFAULT_PATH REQUIRED)

file(GLOB codegen_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/codegen/*.c)
add_executable(onnx-latency-codegen ${codegen_sources})
target_include_directories(onnx-latency-codegen PRIVATE ${CMAKE_SOURCE_DIR}/codegen)
target_include_directories(onnx-latency-codegen SYSTEM PRIVATE ${LLVM_includedir})
target_compile_definitions(onnx-latency-codegen PRIVATE LLVM_BIN_DIR="${LLVM_bindir}")
target_link_libraries(onnx-latency-codegen PRIVATE base PkgConfig::CJSON ${LLVM_LIBRARY} m)
install(TARGETS onnx-latency-codegen DESTINATION ${CMAKE_INSTALL_BINDIR})
