# Installation: the program, the library (one archive), the public header, the data, and a way for others to find them:
# pkg-config and a CMake package.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/onnx_latency)

install(TARGETS onnx-latency DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS onnx_latency ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/onnx_latency.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/onnx-latency)

# A static archive brings its dependencies along by name.
get_filename_component(lapack_dir ${LAPACK_A} DIRECTORY)
get_filename_component(blas_dir ${BLAS_A} DIRECTORY)
configure_file(cmake/onnx_latency.pc.in onnx_latency.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/onnx_latency.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/onnx_latency-config.cmake.in onnx_latency-config.cmake
                              INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_FULL_LIBDIR)
write_basic_package_version_file(onnx_latency-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/onnx_latency-config.cmake ${CMAKE_BINARY_DIR}/onnx_latency-config-version.cmake
        DESTINATION ${package_dir})
