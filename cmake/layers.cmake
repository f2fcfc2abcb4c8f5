# One target a folder. A layer exports its own directory and sees only the layers and libraries named for it, so a
# wrong include does not compile.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)

# Reference LAPACK, static: the matrices are small, and a shared OpenBLAS costs every start-up milliseconds.
find_library(LAPACKE_A NAMES liblapacke.a REQUIRED)
find_library(LAPACK_A NAMES liblapack.a PATH_SUFFIXES lapack REQUIRED)
find_library(BLAS_A NAMES libblas.a PATH_SUFFIXES blas REQUIRED)
execute_process(COMMAND gfortran -print-file-name=libgfortran.a OUTPUT_VARIABLE GFORTRAN_A OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND gfortran -print-file-name=libquadmath.a OUTPUT_VARIABLE QUADMATH_A OUTPUT_STRIP_TRAILING_WHITESPACE)
find_library(TMG_A NAMES libtmglib.a)
add_library(lapacke INTERFACE)
target_link_libraries(lapacke INTERFACE ${LAPACKE_A} $<$<BOOL:${TMG_A}>:${TMG_A}> ${LAPACK_A} ${BLAS_A} ${GFORTRAN_A})
if(EXISTS ${QUADMATH_A})
  target_link_libraries(lapacke INTERFACE ${QUADMATH_A})
endif()
target_link_libraries(lapacke INTERFACE m)

# The message classes, generated from our own onnx.proto.
find_program(PROTOC_C NAMES protoc-c REQUIRED)
set(PROTO_DIR ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${PROTO_DIR})
add_custom_command(
  OUTPUT ${PROTO_DIR}/onnx.pb-c.c ${PROTO_DIR}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/frontend --c_out=${PROTO_DIR} onnx.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/frontend/onnx.proto VERBATIM)
add_library(onnx_proto STATIC EXCLUDE_FROM_ALL ${PROTO_DIR}/onnx.pb-c.c)
target_compile_options(onnx_proto PRIVATE -w)
target_include_directories(onnx_proto PUBLIC ${PROTO_DIR})
target_link_libraries(onnx_proto PUBLIC PkgConfig::PROTOBUF_C)

function(layer name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "USES")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.c)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/${name})
  target_link_libraries(${name} PUBLIC ${ARG_UNPARSED_ARGUMENTS} PRIVATE ${ARG_USES})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ol_${name})
endfunction()

# A program sees the public header only.
function(program name folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.c)
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/${folder} ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${name} PRIVATE onnx_latency PkgConfig::CJSON)
endfunction()
