# The libraries of deps.lock as CMake targets. Those that we compile ourselves come without our warnings but
# with the sanitizers.
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/deps --where OUTPUT_VARIABLE PAWL_DEPS
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT EXISTS ${PAWL_DEPS}/complete)
  message(FATAL_ERROR "run tools/deps first (or ./dev build, which does)")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS deps.lock)

find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)

function(pawl_system_library target header library)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  find_library(${target}_LIBRARY ${library} REQUIRED)
  add_library(${target} INTERFACE)
  target_include_directories(${target} SYSTEM INTERFACE ${${target}_INCLUDE})
  target_link_libraries(${target} INTERFACE ${${target}_LIBRARY})
endfunction()
pawl_system_library(zstd zstd.h zstd)
pawl_system_library(yaml yaml.h yaml)
pawl_system_library(microhttpd microhttpd.h microhttpd)
find_path(pq_INCLUDE libpq-fe.h PATH_SUFFIXES postgresql REQUIRED)
pawl_system_library(pq libpq-fe.h pq)

add_library(yyjson STATIC ${PAWL_DEPS}/yyjson/yyjson/yyjson.c)
target_include_directories(yyjson SYSTEM PUBLIC ${PAWL_DEPS}/yyjson/yyjson)
target_compile_options(yyjson PRIVATE -w -O2)

set(nanoarrow_folder ${PAWL_DEPS}/nanoarrow/arx_nanoarrow_sources/vendor)
add_library(nanoarrow STATIC ${nanoarrow_folder}/src/nanoarrow.c)
target_include_directories(nanoarrow SYSTEM PUBLIC ${nanoarrow_folder}/include
                           PRIVATE ${nanoarrow_folder}/include/nanoarrow)
target_compile_options(nanoarrow PRIVATE -w -O2)

# DuckDB's archives refer to each other, so they go into one group; gold links them in a second.
file(GLOB duckdb_archives ${PAWL_DEPS}/duckdb/*.a)
add_library(duckdb INTERFACE)
target_include_directories(duckdb SYSTEM INTERFACE ${PAWL_DEPS}/duckdb)
# The C++ runtime goes in: the one of the machine, or of the Python, that runs this may be older. (Sanitizers want theirs.)
if(PAWL_SANITIZE)
  set(duckdb_runtime stdc++)
else()
  set(duckdb_runtime -l:libstdc++.a)
endif()
target_link_libraries(duckdb INTERFACE -Wl,--start-group ${duckdb_archives} -Wl,--end-group
                      ${duckdb_runtime} m dl Threads::Threads)
# The level that DuckDB compresses text with can be set in no other way: see duck_zstd_level().
target_link_options(duckdb INTERFACE -Wl,--wrap=_ZN11duckdb_zstd18ZSTD_defaultCLevelEv)
include(CheckLinkerFlag)
check_linker_flag(C -fuse-ld=gold PAWL_HAVE_GOLD)
if(PAWL_HAVE_GOLD)
  target_link_options(duckdb INTERFACE -fuse-ld=gold -Wl,--gc-sections)
endif()
