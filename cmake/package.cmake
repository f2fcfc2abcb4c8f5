# Installation: the program, the library (one archive), the public header, the data, and a way for others to find them:
# pkg-config and a CMake package.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/onnx_latency)

# One object with LAPACK inside, of which only ol_* is seen: whoever links it may call their own functions what they like,
# and has their own LAPACK.
set(packed ${CMAKE_BINARY_DIR}/package/libonnx_latency.a)
set(packed_object ${CMAKE_BINARY_DIR}/package/onnx_latency.o)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
add_custom_command(
  OUTPUT ${packed}
  COMMAND ${CMAKE_LINKER} -r -o ${packed_object} --whole-archive $<TARGET_FILE:onnx_latency> --no-whole-archive
          --start-group ${LAPACK_ARCHIVES} --end-group
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=ol_* ${packed_object}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${packed}
  COMMAND ${CMAKE_AR} qc ${packed} ${packed_object}
  DEPENDS onnx_latency VERBATIM)
add_custom_target(package_archive ALL DEPENDS ${packed})

install(TARGETS onnx-latency DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${packed} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/onnx_latency.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/onnx-latency)

# The archive's other dependencies go by name. Folders are named from where the file lies, so that an installation may be
# moved.
file(RELATIVE_PATH include_from_pkgconfig ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(cmake/onnx_latency.pc.in onnx_latency.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/onnx_latency.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/onnx_latency-config.cmake.in onnx_latency-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(onnx_latency-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/onnx_latency-config.cmake ${CMAKE_BINARY_DIR}/onnx_latency-config-version.cmake
        DESTINATION ${package_dir})
