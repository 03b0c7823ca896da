# `make package`: a Debian package of each component, and one .tar.gz of all that `make install` installs.
find_program(MKDOCS mkdocs)

# What packages have and `make install` has not: the documentation as web pages, and a copyright file each.
if(MKDOCS)
  install(CODE "execute_process(COMMAND ${MKDOCS} build --quiet --clean
                  --config-file ${PROJECT_SOURCE_DIR}/mkdocs.yml --site-dir ${PROJECT_BINARY_DIR}/package-site
                  COMMAND_ERROR_IS_FATAL ANY)"
          COMPONENT docs EXCLUDE_FROM_ALL)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/package-site/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/html
          COMPONENT docs EXCLUDE_FROM_ALL)
endif()

set(CPACK_PACKAGE_VENDOR "The shoal authors")
set(CPACK_PACKAGE_CONTACT "The shoal authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library dev programs docs)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)

# The library's package has the SONAME in its name, so that two versions may be installed.
set(soname_package libshoal${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
function(shoal_package component name section description)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION ${description} PARENT_SCOPE)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} RENAME copyright
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()
shoal_package(library ${soname_package} libs "A vector index whose points come and go: the shared library")
shoal_package(dev libshoal-dev libdevel "A vector index whose points come and go: headers and libraries")
shoal_package(programs shoal-tools database "A vector index whose points come and go: the command shoal")
shoal_package(docs shoal-doc doc "A vector index whose points come and go: documentation")
set(CPACK_DEBIAN_DOCS_PACKAGE_ARCHITECTURE all)
# The headers include tl/expected.hpp; the static library is linked with the others.
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "${soname_package} (= ${PROJECT_VERSION}), libexpected-dev, libhwy-dev, liblmdb-dev")
if(URING_FOUND)
  string(APPEND CPACK_DEBIAN_DEV_PACKAGE_DEPENDS ", liburing-dev")
endif()
include(CPack)
