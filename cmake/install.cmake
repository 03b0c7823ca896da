# `cmake --install`: headers, both libraries, a CMake package and a pkg-config file. What belongs to which
# component is for packages (package.cmake): library, dev, programs, docs.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shoal)
set(targets shoal)
if(SHOAL_BUILD_SHARED)
  list(APPEND targets shoal_shared)
endif()

install(TARGETS ${targets} EXPORT shoal-targets
        ARCHIVE COMPONENT dev
        LIBRARY COMPONENT library NAMELINK_COMPONENT dev)
install(DIRECTORY include/shoal TYPE INCLUDE COMPONENT dev FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)
install(EXPORT shoal-targets NAMESPACE shoal:: DESTINATION ${package_dir} COMPONENT dev)

# What the static library is linked with.
set(pc_modules "libhwy lmdb")
if(URING_FOUND)
  string(APPEND pc_modules " liburing")
endif()

configure_package_config_file(cmake/shoal-config.cmake.in shoal-config.cmake
                              INSTALL_DESTINATION ${package_dir})
# Before 1.0 a program that asks for 0.1 does not get 0.2.
write_basic_package_version_file(shoal-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/shoal-config.cmake
              ${PROJECT_BINARY_DIR}/shoal-config-version.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# The .pc file finds the prefix from its own place, so an installation can be moved; directories
# that were given as absolute paths stay so.
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR libdir_is_absolute)
if(libdir_is_absolute)
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${up}")
endif()
cmake_path(APPEND pc_libdir "\${prefix}" ${CMAKE_INSTALL_LIBDIR})
cmake_path(APPEND pc_includedir "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
# A program linked by pkg-config finds the shared library where it is installed. In the system's own
# prefix the loader looks by itself.
set(pc_rpath "")
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(pc_rpath " -Wl,-rpath,\${libdir}")
endif()
configure_file(cmake/shoal.pc.in shoal.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/shoal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT dev)
