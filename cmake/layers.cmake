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
find_library(TMG_A NAMES libtmglib.a)
find_program(GFORTRAN NAMES gfortran REQUIRED)
set(LAPACK_ARCHIVES ${LAPACKE_A} ${LAPACK_A} ${BLAS_A})
if(TMG_A)
  list(INSERT LAPACK_ARCHIVES 1 ${TMG_A})
endif()
foreach(runtime gfortran quadmath)
  execute_process(COMMAND ${GFORTRAN} -print-file-name=lib${runtime}.a OUTPUT_VARIABLE archive
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  # Where a machine has no such library (quadmath outside x86), the compiler answers with the bare name.
  if(EXISTS ${archive})
    list(APPEND LAPACK_ARCHIVES ${archive})
  endif()
endforeach()
add_library(lapacke INTERFACE)
target_link_libraries(lapacke INTERFACE ${LAPACK_ARCHIVES} m)
target_link_options(lapacke INTERFACE
  -static-libgcc       # libgfortran's only need; one library less to load
  -Wl,--undefined=xerbla_) # and all of predictor/fortran.c with it, before the libraries are searched

# The message classes, generated from our own onnx.proto.
find_program(PROTOC_C NAMES protoc-c REQUIRED)
set(PROTO_DIR ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${PROTO_DIR})
add_custom_command(
  OUTPUT ${PROTO_DIR}/onnx.pb-c.c ${PROTO_DIR}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/frontend --c_out=${PROTO_DIR} onnx.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/frontend/onnx.proto VERBATIM)
add_library(onnx_proto STATIC ${PROTO_DIR}/onnx.pb-c.c)
target_compile_options(onnx_proto PRIVATE -w)
target_include_directories(onnx_proto SYSTEM PUBLIC ${PROTO_DIR})
target_link_libraries(onnx_proto PUBLIC PkgConfig::PROTOBUF_C)

function(layer name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "USES")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.c)
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ol_${name} LINKER_LANGUAGE C)
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/${name})
  target_link_libraries(${name} PUBLIC ${ARG_UNPARSED_ARGUMENTS} PRIVATE ${ARG_USES})
endfunction()

# One archive of all layers. Its users see the public header only; what the layers stand on is linked, not shown.
function(library name)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(${name} STATIC ${objects})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name} PRIVATE PkgConfig::CJSON PkgConfig::PROTOBUF_C lapacke Threads::Threads ${CMAKE_DL_LIBS})
endfunction()

# A program sees the public header only.
function(program name folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.c)
  add_executable(${name} ${sources})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/${folder})
  target_link_libraries(${name} PRIVATE onnx_latency PkgConfig::CJSON m)
  target_link_options(${name} PRIVATE -Wl,--gc-sections) # of LAPACK, only what is used
endfunction()
