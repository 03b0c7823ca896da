/* The C interface (C11): an index whose points come and go, from any threads.
 *
 *   shoal_error error;
 *   shoal_index_options options = {.struct_size = sizeof options, .dim = 128};
 *   shoal_index* index;
 *   if (shoal_create(&options, &index, &error) != SHOAL_OK) puts(error.message);
 *   shoal_insert(index, 7, vector, &error);
 *   shoal_search(index, query, 10, NULL, ids, distances, &found, &error);
 *   shoal_destroy(index);
 *
 * Every function that can fail returns a code, SHOAL_OK or why not, and writes one line to `error`,
 * which may be NULL. Nothing is thrown or printed. What a function does, and its errors, are those
 * of the C++ function of that name in shoal/index.h.
 *
 * Thread safety: every function may be called from any thread at any time, together with any other,
 * except shoal_destroy.
 *
 * Vectors: as many elements as the index has dimensions, of its scalar type, contiguous, any
 * alignment; of bits, eight a byte. Matrices: rows one behind the other.
 *
 * ABI: structs begin with their size and grow at the end only; a field that is 0 has its default.
 * Values of enums are never used again. The symbols have the version node SHOAL_1.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shoal/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct shoal_index shoal_index;
typedef struct shoal_database shoal_database;
typedef struct shoal_transaction shoal_transaction;
typedef struct shoal_keys shoal_keys;

enum {
  SHOAL_OK = 0,
  SHOAL_INVALID_ARGUMENT = 1,
  SHOAL_ALREADY_EXISTS = 2,
  SHOAL_NOT_FOUND = 3, /* An id, a key or an index of a database. */
  SHOAL_OUT_OF_MEMORY = 4,
  SHOAL_IO = 5,
  SHOAL_CORRUPT = 6,
  SHOAL_UNSUPPORTED = 7,
  SHOAL_CANCELLED = 8,
  SHOAL_CONFLICT = 9,
  SHOAL_FILE_NOT_FOUND = 10
};

/* Scalar types. */
enum { SHOAL_FLOAT32 = 0, SHOAL_FLOAT16 = 1, SHOAL_INT8 = 2, SHOAL_UINT8 = 3, SHOAL_BIT = 4 };

/* Metrics; smaller is nearer. */
enum {
  SHOAL_L2 = 0,            /* The squared Euclidean distance. */
  SHOAL_INNER_PRODUCT = 1, /* The negated inner product. */
  SHOAL_COSINE = 2,        /* 1 - cos. */
  SHOAL_MANHATTAN = 3,
  SHOAL_HAMMING = 4 /* For SHOAL_BIT. */
};

/* When the graph around a deleted point is repaired. */
enum { SHOAL_REPAIR_IMMEDIATE = 0, SHOAL_REPAIR_BACKGROUND = 1, SHOAL_REPAIR_MANUAL = 2 };

/* In the caller's memory: there is nothing to free. `message` is cut where it is longer. */
typedef struct {
  int32_t code;
  char message[508];
} shoal_error;

typedef struct {
  uint32_t struct_size; /* sizeof(shoal_index_options). */
  uint32_t dim;         /* The only field without a default. */
  int32_t scalar_type;
  int32_t metric;
  uint32_t max_degree;      /* 0: 32. */
  uint32_t build_list_size; /* 0: 100. */
  float alpha;              /* 0: 1.2. */
  int32_t repair;
  uint32_t repair_threads; /* 0: 1. */
  uint32_t repair_share;   /* Percent; 0: 100. */
  uint64_t memory_limit;   /* Bytes; 0: none. */
  /* What searches traverse, and what hits are put in order by: a name of shoal/types.h's CodeName.
   * NULL: "auto", "full". After shoal_options the strings are static. */
  const char* code;
  const char* rerank_code;
} shoal_index_options;

/* What a call cost. */
typedef struct {
  uint32_t struct_size; /* sizeof(shoal_work); set by the caller. */
  uint32_t reserved;
  uint64_t distances; /* Computed, those of `reranked` not included. */
  uint64_t hops;      /* Points whose lists were read. */
  uint64_t reranked;  /* Points that were scored again by the rerank code. */
  uint64_t filter_checks;
} shoal_work;

/* NULL in place of it, or 0 in place of a field: the default. */
typedef struct {
  uint32_t struct_size; /* sizeof(shoal_search_options). */
  uint32_t reserved;    /* 0. */
  size_t list_size;     /* 0: 64. Less than k means k. */
  size_t rerank;        /* 0: a few times k. */
  double target_recall; /* 0: as the others say. */
  /* Which points may be hits: sets accepted[i], which is 0, to another value if ids[i] may be one.
   * Called for up to some hundred ids at a time, by any thread of the call. NULL: all. */
  void (*accept)(void* user, const uint64_t* ids, size_t n, uint8_t* accepted);
  void* accept_user;
  shoal_work* work; /* If not NULL: receives the counters of the call, of all its queries. */
} shoal_search_options;

/* How a call on many rows runs. NULL in place of it: all CPUs, nothing is told. */
typedef struct {
  uint32_t struct_size; /* sizeof(shoal_batch). */
  uint32_t reserved;    /* 0. */
  size_t threads;       /* 0: one for each CPU. */
  void* user;           /* Handed to the functions. */
  /* Called from time to time, by any thread, never by two at once. Not 0: the call ends soon with
   * SHOAL_CANCELLED; what is done stays. */
  int (*progress)(void* user, size_t done, size_t total);
  /* Called for each row that failed, in ascending order, before the call returns. */
  void (*failed)(void* user, size_t row, int32_t code, const char* message);
} shoal_batch;

typedef struct {
  uint32_t struct_size; /* sizeof(shoal_stats); set by the caller. */
  uint32_t reserved;
  uint64_t points;
  uint64_t edges;
  uint64_t pending_repairs;
  uint64_t bytes; /* Of memory, all purposes. */
  uint64_t distances;
  uint64_t hops;
} shoal_index_stats;

/* "0.1.0", of the library that is linked. */
SHOAL_API const char* shoal_version(void);
/* 1 as long as programs that were compiled for 1 run. */
SHOAL_API uint32_t shoal_abi_version(void);
/* "InvalidArgument"; "OK"; "" for another number. */
SHOAL_API const char* shoal_code_name(int32_t code);

/* An empty index. *index is NULL after an error. */
SHOAL_API int32_t shoal_create(const shoal_index_options* options, shoal_index** index,
                               shoal_error* error);
/* NULL is allowed. */
SHOAL_API void shoal_destroy(shoal_index* index);
/* What an index is; all fields that options->struct_size has room for. */
SHOAL_API int32_t shoal_options(const shoal_index* index, shoal_index_options* options,
                                shoal_error* error);

SHOAL_API int32_t shoal_insert(shoal_index* index, uint64_t id, const void* vector,
                               shoal_error* error);
SHOAL_API int32_t shoal_upsert(shoal_index* index, uint64_t id, const void* vector,
                               shoal_error* error);
SHOAL_API int32_t shoal_delete(shoal_index* index, uint64_t id, shoal_error* error);

/* n rows, row i as ids[i]. *done, if not NULL: how many were inserted. Rows that fail do not stop
 * the others; the call then returns SHOAL_OK, and batch->failed is told of each. */
SHOAL_API int32_t shoal_insert_many(shoal_index* index, const uint64_t* ids, const void* vectors,
                                    size_t n, const shoal_batch* batch, size_t* done,
                                    shoal_error* error);
SHOAL_API int32_t shoal_upsert_many(shoal_index* index, const uint64_t* ids, const void* vectors,
                                    size_t n, const shoal_batch* batch, size_t* done,
                                    shoal_error* error);
SHOAL_API int32_t shoal_delete_many(shoal_index* index, const uint64_t* ids, size_t n,
                                    const shoal_batch* batch, size_t* done, shoal_error* error);

/* ids, and distances if not NULL, have room for k; *found of them are hits, nearest first. */
SHOAL_API int32_t shoal_search(const shoal_index* index, const void* query, size_t k,
                               const shoal_search_options* options, uint64_t* ids, float* distances,
                               size_t* found, shoal_error* error);
/* n queries; ids, and distances if not NULL, have room for n x k, counts for n. Query i has
 * counts[i] hits, from i x k on. */
SHOAL_API int32_t shoal_search_many(const shoal_index* index, const void* queries, size_t n,
                                    size_t k, const shoal_search_options* options,
                                    const shoal_batch* batch, uint64_t* ids, float* distances,
                                    uint32_t* counts, shoal_error* error);
/* Every point found within a radius. The nearest `capacity` are written to ids, and to distances if
 * not NULL; *found is how many there are, which may be more. */
SHOAL_API int32_t shoal_range_search(const shoal_index* index, const void* query, float radius,
                                     const shoal_search_options* options, size_t capacity,
                                     uint64_t* ids, float* distances, size_t* found,
                                     shoal_error* error);
/* The same for n queries: the hits of query i are [limits[i], limits[i + 1]) of all hits, of which
 * the first `capacity` are written; limits has room for n + 1. limits[n] is how many there are. */
SHOAL_API int32_t shoal_range_search_many(const shoal_index* index, const void* queries, size_t n,
                                          float radius, const shoal_search_options* options,
                                          const shoal_batch* batch, size_t capacity, size_t* limits,
                                          uint64_t* ids, float* distances, shoal_error* error);

/* Copies a vector. */
SHOAL_API int32_t shoal_get(const shoal_index* index, uint64_t id, void* vector,
                            shoal_error* error);
/* Copies the vector of ids[i] to row i of `vectors`. Rows of ids that are not there stay as they
 * are; the call then returns SHOAL_OK, and batch->failed is told of each. *done, if not NULL: how
 * many were copied. */
SHOAL_API int32_t shoal_get_many(const shoal_index* index, const uint64_t* ids, size_t n,
                                 void* vectors, const shoal_batch* batch, size_t* done,
                                 shoal_error* error);
/* 1 or 0. */
SHOAL_API int shoal_contains(const shoal_index* index, uint64_t id);
SHOAL_API size_t shoal_size(const shoal_index* index);
/* The first `capacity` of all ids, in no order; *found is how many there are. */
SHOAL_API int32_t shoal_ids(const shoal_index* index, size_t capacity, uint64_t* ids, size_t* found,
                            shoal_error* error);
SHOAL_API int32_t shoal_stats(const shoal_index* index, shoal_index_stats* stats,
                              shoal_error* error);

/* About how many bytes an index takes with so many points, and how many points fit into bytes. */
SHOAL_API int32_t shoal_estimate_bytes(const shoal_index_options* options, uint64_t points,
                                       uint64_t* bytes, shoal_error* error);
SHOAL_API int32_t shoal_estimate_points(const shoal_index_options* options, uint64_t bytes,
                                        uint64_t* points, shoal_error* error);
/* What all indexes of this process have from the system directly: see MappedBytes in
 * shoal/stats.h. For a host that accounts for memory. */
SHOAL_API uint64_t shoal_mapped_bytes(void);
/* What the host is told of these bytes: see MemoryHooks in shoal/stats.h. The library's other
 * memory is from operator new, which is malloc unless the program replaces it. */
typedef struct {
  uint32_t struct_size; /* sizeof(shoal_memory_hooks). */
  uint32_t reserved;    /* 0. */
  void* user;           /* Handed to the functions. */
  /* Before so many bytes more are taken. Not 0: they are not, and what needs them is
   * SHOAL_OUT_OF_MEMORY. Called by any thread, under locks of an index: it must be quick, and call
   * no function of shoal. */
  int (*take)(void* user, uint64_t bytes);
  /* After so many bytes went back; likewise. */
  void (*give_back)(void* user, uint64_t bytes);
} shoal_memory_hooks;
/* For all indexes of this process, in place of earlier ones; NULL: none. Call it while there is no
 * index, and none is being made; SHOAL_INVALID_ARGUMENT otherwise. */
SHOAL_API int32_t shoal_set_memory_hooks(const shoal_memory_hooks* hooks, shoal_error* error);

SHOAL_API int32_t shoal_clear(shoal_index* index, const shoal_batch* batch, shoal_error* error);
SHOAL_API int32_t shoal_consolidate(shoal_index* index, const shoal_batch* batch,
                                    shoal_error* error);
/* *bytes, if not NULL: what went back to the system. */
SHOAL_API int32_t shoal_compact(shoal_index* index, const shoal_batch* batch, size_t* bytes,
                                shoal_error* error);
SHOAL_API int32_t shoal_refine(shoal_index* index, const shoal_batch* batch, shoal_error* error);

SHOAL_API int32_t shoal_save(const shoal_index* index, const char* path, const shoal_batch* batch,
                             shoal_error* error);
/* Of `options` the fields repair, repair_threads, repair_share and memory_limit count; NULL: their
 * defaults. */
SHOAL_API int32_t shoal_load(const char* path, const shoal_index_options* options,
                             const shoal_batch* batch, shoal_index** index, shoal_error* error);

/* Vectors in a feature store: see shoal/feature_stores.h. */
enum {
  SHOAL_FEATURES_RAM = 0,
  SHOAL_FEATURES_MMAP = 1,
  SHOAL_FEATURES_DISK = 2,
  SHOAL_FEATURES_DATASET = 3 /* Row i is that of id i. */
};
typedef struct {
  uint32_t struct_size; /* sizeof(shoal_features). */
  int32_t kind;
  const char* path;     /* All but SHOAL_FEATURES_RAM. */
  uint64_t cache_bytes; /* SHOAL_FEATURES_DISK: of pages that the store keeps; */
  uint32_t queue_depth; /* reads at the same time, 0: 64; */
  int32_t direct;       /* not 0: past the system's page cache. */
} shoal_features;

SHOAL_API int32_t shoal_create_with_features(const shoal_index_options* options,
                                             const shoal_features* features, shoal_index** index,
                                             shoal_error* error);
SHOAL_API int32_t shoal_save_without_vectors(const shoal_index* index, const char* path,
                                             const shoal_batch* batch, shoal_error* error);
/* `options` as in shoal_load. */
SHOAL_API int32_t shoal_load_with_features(const char* path, const shoal_features* features,
                                           const shoal_index_options* options,
                                           const shoal_batch* batch, shoal_index** index,
                                           shoal_error* error);
/* *code: the largest with which so many points fit into so many bytes of memory, for `code` of
 * shoal_index_options, a static string; *bytes: about what they take. */
SHOAL_API int32_t shoal_fit_to_memory(const shoal_index_options* options, uint64_t points,
                                      uint64_t memory_budget, const char** code, uint64_t* bytes,
                                      shoal_error* error);

/* Snapshots through functions: see shoal/stream.h. `write` takes the next bytes, and returns 0, or
 * another number, with which the call ends as SHOAL_IO. `read` fills data from the front and
 * returns how many bytes it has given, at most `bytes`; 0: there are no more; negative: it failed,
 * SHOAL_IO.
 */
SHOAL_API int32_t shoal_save_to(const shoal_index* index,
                                int (*write)(void* user, const void* data, size_t bytes),
                                void* user, shoal_error* error);
SHOAL_API int32_t shoal_load_from(int64_t (*read)(void* user, void* data, size_t bytes), void* user,
                                  const shoal_index_options* options, shoal_index** index,
                                  shoal_error* error);

/* Databases: see shoal/database.h. An index of a database is a shoal_index, too: all functions that
 * read take it; shoal_insert, shoal_upsert and shoal_delete are transactions of their own;
 * shoal_insert_many and shoal_upsert_many likewise, and change nothing where a row fails, which is
 * then the error of the call. Others that write are SHOAL_UNSUPPORTED. shoal_destroy closes it. */

/* What an acknowledged change survives. */
enum { SHOAL_SYNC_FULL = 0, SHOAL_SYNC_INTERVAL = 1, SHOAL_SYNC_NONE = 2 };

/* NULL in place of it, or 0 in place of a field: the default. */
typedef struct {
  uint32_t struct_size; /* sizeof(shoal_database_options). */
  int32_t sync;
  uint32_t interval_ms; /* SHOAL_SYNC_INTERVAL; 0: 100. */
  uint32_t max_readers; /* 0: 1024. */
  uint64_t max_bytes;   /* 0: 1 TB, of addresses. */
  int32_t must_exist;   /* Not 0: no file is made. */
  uint32_t reserved;    /* 0. */
} shoal_database_options;

SHOAL_API int32_t shoal_database_open(const char* path, const shoal_database_options* options,
                                      shoal_database** database, shoal_error* error);
/* NULL is allowed. Indexes and transactions that are still there keep the file open. */
SHOAL_API void shoal_database_close(shoal_database* database);
SHOAL_API int32_t shoal_database_create_index(shoal_database* database, const char* name,
                                              const shoal_index_options* options,
                                              shoal_index** index, shoal_error* error);
/* Of `options` the fields repair, repair_threads, repair_share and memory_limit count. */
SHOAL_API int32_t shoal_database_open_index(shoal_database* database, const char* name,
                                            const shoal_index_options* options,
                                            const shoal_batch* batch, shoal_index** index,
                                            shoal_error* error);
SHOAL_API int32_t shoal_database_flush(shoal_database* database, shoal_error* error);
/* A copy of the last commit, without free pages. */
SHOAL_API int32_t shoal_database_backup(const shoal_database* database, const char* path,
                                        shoal_error* error);

/* Changes that commit together. A transaction is used by one thread at a time. */
SHOAL_API int32_t shoal_begin(shoal_database* database, shoal_transaction** transaction,
                              shoal_error* error);
SHOAL_API int32_t shoal_transaction_insert(shoal_transaction* transaction, shoal_index* index,
                                           uint64_t id, const void* vector, shoal_error* error);
SHOAL_API int32_t shoal_transaction_upsert(shoal_transaction* transaction, shoal_index* index,
                                           uint64_t id, const void* vector, shoal_error* error);
SHOAL_API int32_t shoal_transaction_delete(shoal_transaction* transaction, shoal_index* index,
                                           uint64_t id, shoal_error* error);
/* As shoal_insert_many. */
SHOAL_API int32_t shoal_transaction_insert_many(shoal_transaction* transaction, shoal_index* index,
                                                const uint64_t* ids, const void* vectors, size_t n,
                                                const shoal_batch* batch, size_t* done,
                                                shoal_error* error);
SHOAL_API int32_t shoal_transaction_upsert_many(shoal_transaction* transaction, shoal_index* index,
                                                const uint64_t* ids, const void* vectors, size_t n,
                                                const shoal_batch* batch, size_t* done,
                                                shoal_error* error);
/* Both end it, and free it, whatever they return. After an error of the commit nothing is changed.
 * NULL is allowed to abort. */
SHOAL_API int32_t shoal_transaction_commit(shoal_transaction* transaction, shoal_error* error);
SHOAL_API void shoal_transaction_abort(shoal_transaction* transaction);

/* Keys of the caller's own for ids, kept with the index: see shoal/key_map.h. */

/* A text, in UTF-8, or bytes (a UUID, say): never equal to each other. `data` need not end with 0.
 */
enum { SHOAL_KEY_TEXT = 0, SHOAL_KEY_BYTES = 1 };
typedef struct {
  const void* data;
  size_t bytes;
  int32_t kind;
  int32_t reserved; /* 0. */
} shoal_key;

/* Without a key. */
SHOAL_API int32_t shoal_keys_create(shoal_keys** keys, shoal_error* error);
/* NULL is allowed. */
SHOAL_API void shoal_keys_destroy(shoal_keys* keys);
/* The id of a key; one that has none gets the next, which no key has had. */
SHOAL_API int32_t shoal_keys_assign(shoal_keys* keys, shoal_key key, uint64_t* id,
                                    shoal_error* error);
SHOAL_API int32_t shoal_keys_find(const shoal_keys* keys, shoal_key key, uint64_t* id,
                                  shoal_error* error);
/* The first `capacity` bytes of the key of an id; *bytes is how many it has, *kind its kind. */
SHOAL_API int32_t shoal_keys_of(const shoal_keys* keys, uint64_t id, size_t capacity, void* data,
                                size_t* bytes, int32_t* kind, shoal_error* error);
/* Forgets a key. 1, or 0: it had no id. */
SHOAL_API int shoal_keys_remove(shoal_keys* keys, shoal_key key);
SHOAL_API size_t shoal_keys_size(const shoal_keys* keys);
/* Index and keys in one file. Of `options` as in shoal_load. */
SHOAL_API int32_t shoal_keys_save(const shoal_keys* keys, const shoal_index* index,
                                  const char* path, shoal_error* error);
SHOAL_API int32_t shoal_keys_load(const char* path, const shoal_index_options* options,
                                  shoal_index** index, shoal_keys** keys, shoal_error* error);
/* The keys of a database's index, as the last commit left them. */
SHOAL_API int32_t shoal_keys_read(const shoal_database* database, const char* index,
                                  shoal_keys** keys, shoal_error* error);
/* The record of a key that has an id, or its end, to commit with the point. */
SHOAL_API int32_t shoal_keys_put(const shoal_keys* keys, shoal_transaction* transaction,
                                 const char* index, shoal_key key, shoal_error* error);
SHOAL_API int32_t shoal_keys_delete(shoal_transaction* transaction, const char* index,
                                    shoal_key key, shoal_error* error);

#ifdef __cplusplus
}
#endif
