/* A C11 program that knows shoal only as an installed header and a library. */
#include <shoal/shoal.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;
static size_t failed_row = 0;

static void expect(int holds, const char* what) {
  if (holds) return;
  printf("does not hold: %s\n", what);
  ++failures;
}
#define EXPECT(condition) expect(condition, #condition)

static void note(void* user, size_t row, int32_t code, const char* message) {
  (void)message;
  failed_row = row;
  *(int32_t*)user = code;
}

static int stop(void* user, size_t done, size_t total) {
  (void)user, (void)done, (void)total;
  return 1;
}

/* A snapshot in memory, written and read in pieces. */
static struct {
  unsigned char data[1 << 20];
  size_t size, at, fails_at;
} memory;

static int write_memory(void* user, const void* data, size_t bytes) {
  (void)user;
  if (memory.size >= memory.fails_at || memory.size + bytes > sizeof memory.data) return 1;
  memcpy(memory.data + memory.size, data, bytes);
  memory.size += bytes;
  return 0;
}

static int64_t read_memory(void* user, void* data, size_t bytes) {
  const size_t left = memory.size - memory.at;
  const size_t n = bytes < 1000 ? bytes : 1000;
  if (user != NULL) return -1;
  memcpy(data, memory.data + memory.at, n < left ? n : left);
  memory.at += n < left ? n : left;
  return (int64_t)(n < left ? n : left);
}

static void accept_even(void* user, const uint64_t* ids, size_t n, uint8_t* accepted) {
  size_t i;
  *(size_t*)user += n;
  for (i = 0; i < n; ++i) accepted[i] = ids[i] % 2 == 0;
}

static void test_streams(const shoal_index* index) {
  shoal_index* again = NULL;
  shoal_error error;
  memory.fails_at = sizeof memory.data;
  EXPECT(shoal_save_to(index, write_memory, NULL, &error) == SHOAL_OK && memory.size > 16000);
  EXPECT(shoal_load_from(read_memory, NULL, NULL, &again, &error) == SHOAL_OK);
  EXPECT(again != NULL && shoal_size(again) == shoal_size(index));
  shoal_destroy(again);
  EXPECT(shoal_load_from(read_memory, &error, NULL, &again, &error) == SHOAL_IO && again == NULL);
  EXPECT(shoal_load_from(read_memory, NULL, NULL, &again, &error) == SHOAL_CORRUPT);
  memory.fails_at = 0;
  EXPECT(shoal_save_to(index, write_memory, NULL, &error) == SHOAL_IO);
}

static void test_filters(const shoal_index* index, const float* query) {
  shoal_search_options options = {0};
  uint64_t ids[5];
  shoal_error error;
  size_t found = 0, asked = 0, i;
  options.struct_size = sizeof options;
  options.accept = accept_even;
  options.accept_user = &asked;
  EXPECT(shoal_search(index, query, 5, &options, ids, NULL, &found, &error) == SHOAL_OK);
  EXPECT(found == 5 && asked >= 5);
  for (i = 0; i < found; ++i) EXPECT(ids[i] % 2 == 0);
  EXPECT(shoal_range_search(index, query, 30, &options, 5, ids, NULL, &found, &error) == SHOAL_OK);
  for (i = 0; i < found && i < 5; ++i) EXPECT(ids[i] % 2 == 0);
  EXPECT(found > 2);
  options.target_recall = 2;
  EXPECT(shoal_search(index, query, 5, &options, ids, NULL, &found, &error) ==
         SHOAL_INVALID_ARGUMENT);
}

/* An index over a file of rows; the file and its rows are at `path` and `rows`. */
static void test_features(const char* path, const char* rows, const float* query) {
  shoal_index_options options = {0};
  shoal_features features = {0};
  shoal_index *index = NULL, *again = NULL;
  shoal_error error;
  const char* code = NULL;
  uint64_t ids[2], other[2], bytes = 0, id;
  float vector[4] = {0};
  size_t found = 0;
  options.struct_size = sizeof options;
  options.dim = 4;
  options.code = "float16";
  features.struct_size = sizeof features;
  features.kind = 99;
  features.path = rows;
  EXPECT(shoal_create_with_features(&options, &features, &index, &error) == SHOAL_INVALID_ARGUMENT);
  features.kind = SHOAL_FEATURES_DISK;
  features.path = NULL;
  EXPECT(shoal_create_with_features(&options, &features, &index, &error) == SHOAL_INVALID_ARGUMENT);
  features.path = rows;
  EXPECT(shoal_create_with_features(&options, &features, &index, &error) == SHOAL_OK);
  for (id = 1; id <= 100; ++id) {
    vector[0] = (float)id;
    EXPECT(shoal_insert(index, id, vector, &error) == SHOAL_OK);
  }
  EXPECT(shoal_search(index, query, 2, NULL, ids, NULL, &found, &error) == SHOAL_OK && found == 2);
  EXPECT(shoal_save_without_vectors(index, path, NULL, &error) == SHOAL_OK);
  shoal_destroy(index);
  EXPECT(shoal_load(path, NULL, NULL, &again, &error) == SHOAL_UNSUPPORTED);
  features.kind = SHOAL_FEATURES_MMAP;
  EXPECT(shoal_load_with_features(path, &features, NULL, NULL, &again, &error) == SHOAL_OK);
  EXPECT(shoal_search(again, query, 2, NULL, other, NULL, &found, &error) == SHOAL_OK);
  EXPECT(other[0] == ids[0] && other[1] == ids[1]);
  EXPECT(shoal_get(again, 17, vector, &error) == SHOAL_OK && vector[0] == 17);
  shoal_destroy(again);
  options.code = NULL;
  options.dim = 768;
  EXPECT(shoal_fit_to_memory(&options, 1000, 1 << 20, &code, &bytes, &error) == SHOAL_OK);
  EXPECT(bytes <= 1 << 20 && strcmp(code, "rq4") == 0);
  EXPECT(shoal_fit_to_memory(&options, 1000, 1000, &code, &bytes, &error) ==
         SHOAL_INVALID_ARGUMENT);
}

static shoal_key text(const char* data) {
  shoal_key key = {0};
  key.data = data;
  key.bytes = strlen(data);
  return key;
}

static void test_keys(const char* path, const float* vector) {
  shoal_index_options options = {0};
  shoal_index *index = NULL, *loaded = NULL;
  shoal_keys *keys = NULL, *again = NULL;
  shoal_database* database = NULL;
  shoal_transaction* change = NULL;
  shoal_error error;
  shoal_key bytes = text("red");
  uint64_t id = 9, other = 9;
  char data[8] = {0}, stored[300];
  size_t size = 0;
  int32_t kind = 9;
  bytes.kind = SHOAL_KEY_BYTES;
  options.struct_size = sizeof options;
  options.dim = 4;
  EXPECT(shoal_keys_create(&keys, &error) == SHOAL_OK);
  EXPECT(shoal_keys_find(keys, text("red"), &id, &error) == SHOAL_NOT_FOUND);
  EXPECT(shoal_keys_assign(keys, bytes, &other, &error) == SHOAL_OK && other == 0);
  EXPECT(shoal_keys_assign(keys, text("red"), &id, &error) == SHOAL_OK && id == 1);
  EXPECT(shoal_keys_remove(keys, bytes) == 1 && shoal_keys_remove(keys, bytes) == 0);
  bytes.kind = 7;
  EXPECT(shoal_keys_assign(keys, bytes, &other, &error) == SHOAL_INVALID_ARGUMENT);
  EXPECT(shoal_create(&options, &index, &error) == SHOAL_OK);
  EXPECT(shoal_insert(index, id, vector, &error) == SHOAL_OK);
  EXPECT(shoal_keys_save(keys, index, path, &error) == SHOAL_OK);
  EXPECT(shoal_keys_load(path, NULL, &loaded, &again, &error) == SHOAL_OK);
  EXPECT(shoal_keys_size(again) == 1 && shoal_contains(loaded, 1) == 1);
  EXPECT(shoal_keys_of(again, 1, sizeof data, data, &size, &kind, &error) == SHOAL_OK);
  EXPECT(size == 3 && kind == SHOAL_KEY_TEXT && strcmp(data, "red") == 0);
  EXPECT(shoal_keys_of(again, 0, 0, NULL, NULL, NULL, &error) == SHOAL_NOT_FOUND);
  EXPECT(shoal_keys_assign(again, text("blue"), &other, &error) == SHOAL_OK && other == 2);
  shoal_keys_destroy(again);
  shoal_destroy(loaded);
  shoal_destroy(index);
  snprintf(stored, sizeof stored, "%s.db", path);
  EXPECT(shoal_database_open(stored, NULL, &database, &error) == SHOAL_OK);
  EXPECT(shoal_database_create_index(database, "a", &options, &index, &error) == SHOAL_OK);
  EXPECT(shoal_begin(database, &change, &error) == SHOAL_OK);
  EXPECT(shoal_transaction_insert(change, index, id, vector, &error) == SHOAL_OK);
  EXPECT(shoal_keys_put(keys, change, "a", text("red"), &error) == SHOAL_OK);
  EXPECT(shoal_keys_put(keys, change, "a", text("blue"), &error) == SHOAL_NOT_FOUND);
  EXPECT(shoal_transaction_commit(change, &error) == SHOAL_OK);
  EXPECT(shoal_keys_read(database, "a", &again, &error) == SHOAL_OK);
  EXPECT(shoal_keys_find(again, text("red"), &other, &error) == SHOAL_OK && other == 1);
  shoal_keys_destroy(again);
  EXPECT(shoal_begin(database, &change, &error) == SHOAL_OK);
  EXPECT(shoal_keys_delete(change, "a", text("red"), &error) == SHOAL_OK);
  EXPECT(shoal_transaction_commit(change, &error) == SHOAL_OK);
  EXPECT(shoal_keys_read(database, "a", &again, &error) == SHOAL_OK && shoal_keys_size(again) == 0);
  shoal_keys_destroy(again);
  shoal_keys_destroy(keys);
  shoal_destroy(index);
  shoal_database_close(database);
}

static void test_sizes(const shoal_index* index) {
  shoal_index_options options = {0};
  shoal_error error;
  uint64_t bytes = 0, points = 0;
  options.struct_size = sizeof options;
  EXPECT(shoal_estimate_bytes(&options, 1000, &bytes, &error) == SHOAL_INVALID_ARGUMENT);
  options.dim = 128;
  EXPECT(shoal_estimate_bytes(&options, 100000, &bytes, &error) == SHOAL_OK && bytes > 51200000);
  EXPECT(shoal_estimate_points(&options, bytes, &points, &error) == SHOAL_OK);
  EXPECT(points > 90000 && points < 110000);
  EXPECT(shoal_size(index) > 0 && shoal_mapped_bytes() > 16 * shoal_size(index));
}

/* Memory that the library has from the system, as a host counts it. */
static uint64_t taken = 0, most = UINT64_MAX;
static int take(void* user, uint64_t bytes) {
  (void)user;
  if (bytes > most || taken > most - bytes) return 1;
  taken += bytes;
  return 0;
}
static void give_back(void* user, uint64_t bytes) {
  (void)user;
  taken -= bytes;
}

static void test_memory_hooks(float (*vectors)[4]) {
  shoal_memory_hooks hooks = {0};
  shoal_index_options options = {0};
  shoal_index* index;
  shoal_error error;
  options.struct_size = sizeof options;
  options.dim = 4;
  hooks.struct_size = sizeof hooks;
  hooks.take = take;
  EXPECT(shoal_set_memory_hooks(&hooks, &error) == SHOAL_INVALID_ARGUMENT);
  hooks.give_back = give_back;
  EXPECT(shoal_set_memory_hooks(&hooks, &error) == SHOAL_OK && taken == 0);
  EXPECT(shoal_create(&options, &index, &error) == SHOAL_OK);
  EXPECT(shoal_insert(index, 1, vectors[1], &error) == SHOAL_OK);
  EXPECT(taken > 0 && taken == shoal_mapped_bytes());
  EXPECT(shoal_set_memory_hooks(NULL, &error) == SHOAL_INVALID_ARGUMENT);
  shoal_destroy(index);
  EXPECT(taken == 0);
  most = 0;
  EXPECT(shoal_create(&options, &index, &error) == SHOAL_OK);
  EXPECT(shoal_insert(index, 1, vectors[1], &error) == SHOAL_OUT_OF_MEMORY && taken == 0);
  shoal_destroy(index);
  EXPECT(shoal_set_memory_hooks(NULL, &error) == SHOAL_OK);
}

static void test_many(const shoal_index* index, float (*vectors)[4]) {
  const uint64_t asked[3] = {11, 100000, 12};
  float copies[3][4] = {{0}};
  uint64_t ids[8];
  float distances[8];
  size_t limits[3], done = 0;
  uint32_t counts[2];
  int32_t code = 0;
  shoal_error error;
  shoal_batch batch = {0};
  shoal_work work = {0};
  shoal_search_options options = {0};
  batch.struct_size = sizeof batch;
  batch.user = &code;
  batch.failed = note;
  EXPECT(shoal_get_many(index, asked, 3, copies, &batch, &done, &error) == SHOAL_OK);
  EXPECT(done == 2 && code == SHOAL_NOT_FOUND && failed_row == 1);
  EXPECT(memcmp(copies[2], vectors[11], sizeof copies[2]) == 0 && copies[1][0] == 0);
  EXPECT(shoal_range_search_many(index, vectors[499], 2, 4, NULL, NULL, 8, limits, ids, distances,
                                 &error) == SHOAL_OK);
  EXPECT(limits[0] == 0 && limits[1] == 5 && limits[2] == 10 && ids[0] == 500 && ids[5] == 501);
  EXPECT(distances[4] == 4 && distances[5] == 0);
  options.struct_size = sizeof options;
  options.work = &work;
  work.struct_size = sizeof work;
  EXPECT(shoal_search(index, vectors[1], 1, &options, ids, NULL, &done, &error) == SHOAL_OK);
  const uint64_t one = work.distances;
  EXPECT(one > 0 && work.hops > 0);
  EXPECT(shoal_search_many(index, vectors[1], 2, 1, &options, NULL, ids, NULL, counts, &error) ==
         SHOAL_OK);
  EXPECT(work.distances > one);
  EXPECT(shoal_range_search(index, vectors[1], 1, &options, 8, ids, NULL, &done, &error) == 0);
  EXPECT(work.distances > 0);
}

static void test_database(const char* path, const uint64_t* ids, float (*vectors)[4]) {
  shoal_database_options options = {0};
  shoal_index_options index_options = {0};
  shoal_database* database = NULL;
  shoal_transaction* change = NULL;
  shoal_index* index = NULL;
  shoal_error error;
  uint64_t found_ids[2];
  size_t found = 0, done = 0;
  options.struct_size = sizeof options;
  options.must_exist = 1;
  EXPECT(shoal_database_open(path, &options, &database, &error) == SHOAL_FILE_NOT_FOUND);
  options.must_exist = 0;
  options.max_bytes = 1 << 28;
  EXPECT(shoal_database_open(path, &options, &database, &error) == SHOAL_OK);
  index_options.struct_size = sizeof index_options;
  index_options.dim = 4;
  EXPECT(shoal_database_create_index(database, "a", &index_options, &index, &error) == SHOAL_OK);
  EXPECT(shoal_insert(index, 1, vectors[0], &error) == SHOAL_OK);
  EXPECT(shoal_insert_many(index, ids, vectors, 50, NULL, &done, &error) == SHOAL_ALREADY_EXISTS);
  EXPECT(strstr(error.message, "row 0") != NULL && done == 0 && shoal_size(index) == 1);
  EXPECT(shoal_upsert_many(index, ids, vectors, 50, NULL, &done, &error) == SHOAL_OK);
  EXPECT(done == 50 && shoal_size(index) == 50);
  EXPECT(shoal_clear(index, NULL, &error) == SHOAL_UNSUPPORTED);

  EXPECT(shoal_begin(database, &change, &error) == SHOAL_OK);
  EXPECT(shoal_transaction_delete(change, index, 1, &error) == SHOAL_OK);
  EXPECT(shoal_upsert(index, 1, vectors[1], &error) == SHOAL_CONFLICT);
  shoal_transaction_abort(change);
  EXPECT(shoal_contains(index, 1) == 1);
  EXPECT(shoal_begin(database, &change, &error) == SHOAL_OK);
  EXPECT(shoal_transaction_delete(change, index, 1, &error) == SHOAL_OK);
  EXPECT(shoal_transaction_insert(change, index, 900, vectors[900], &error) == SHOAL_OK);
  EXPECT(shoal_transaction_upsert(change, index, 900, vectors[901], &error) == SHOAL_OK);
  EXPECT(shoal_transaction_insert_many(change, index, ids + 100, vectors + 100, 10, NULL, &done,
                                       &error) == SHOAL_OK);
  EXPECT(done == 10 && shoal_size(index) == 50);
  EXPECT(shoal_transaction_upsert_many(change, index, ids + 105, vectors + 105, 5, NULL, &done,
                                       &error) == SHOAL_OK);
  EXPECT(done == 5);
  EXPECT(shoal_transaction_commit(change, &error) == SHOAL_OK && shoal_size(index) == 60);
  shoal_database_close(database);
  shoal_destroy(index);

  EXPECT(shoal_database_open(path, &options, &database, &error) == SHOAL_OK);
  EXPECT(shoal_database_open_index(database, "b", NULL, NULL, &index, &error) == SHOAL_NOT_FOUND);
  EXPECT(shoal_database_open_index(database, "a", NULL, NULL, &index, &error) == SHOAL_OK);
  EXPECT(shoal_search(index, vectors[901], 1, NULL, found_ids, NULL, &found, &error) == SHOAL_OK);
  EXPECT(found == 1 && found_ids[0] == 900 && shoal_size(index) == 60);
  EXPECT(shoal_database_flush(database, &error) == SHOAL_OK);
  shoal_destroy(index);
  shoal_database_close(database);
  shoal_database_close(NULL);
}

int main(int argc, char** argv) {
  static float vectors[1000][4];
  static uint64_t ids[1000];
  char database[600];
  uint64_t found_ids[8];
  float distances[8];
  uint32_t counts[2];
  size_t found = 0, done = 0, i;
  int32_t code = 0;
  shoal_error error;
  shoal_index* index = NULL;
  shoal_index* again = NULL;
  shoal_index_options options = {0};
  shoal_batch batch = {0};
  shoal_index_stats stats = {0};
  if (argc != 2) return 2;
  test_memory_hooks(vectors);

  EXPECT(shoal_create(&options, &index, &error) == SHOAL_INVALID_ARGUMENT && index == NULL);
  EXPECT(strstr(error.message, "struct_size") != NULL && error.code == SHOAL_INVALID_ARGUMENT);
  options.struct_size = sizeof options;
  EXPECT(shoal_create(&options, &index, NULL) == SHOAL_INVALID_ARGUMENT);
  options.dim = 4;
  options.metric = 99;
  EXPECT(shoal_create(&options, &index, &error) == SHOAL_INVALID_ARGUMENT);
  options.metric = SHOAL_L2;
  EXPECT(shoal_create(&options, &index, &error) == SHOAL_OK && error.code == SHOAL_OK);
  memset(&options, 0, sizeof options);
  options.struct_size = 24; /* As an older program has it. */
  EXPECT(shoal_options(index, &options, &error) == SHOAL_OK);
  EXPECT(options.dim == 4 && options.max_degree == 32 && options.code == NULL);
  options.struct_size = sizeof options;
  EXPECT(shoal_options(index, &options, &error) == SHOAL_OK);
  EXPECT(strcmp(options.rerank_code, "full") == 0);

  for (i = 0; i < 1000; ++i) {
    ids[i] = i + 1;
    vectors[i][0] = (float)i;
  }
  batch.struct_size = sizeof batch;
  batch.user = &code;
  batch.failed = note;
  EXPECT(shoal_insert(index, 3, vectors[2], &error) == SHOAL_OK);
  EXPECT(shoal_insert(index, 3, vectors[2], &error) == SHOAL_ALREADY_EXISTS);
  EXPECT(shoal_insert_many(index, ids, vectors, 1000, &batch, &done, &error) == SHOAL_OK);
  EXPECT(done == 999 && failed_row == 2 && code == SHOAL_ALREADY_EXISTS);
  batch.progress = stop;
  EXPECT(shoal_upsert_many(index, ids, vectors, 1000, &batch, &done, &error) == SHOAL_CANCELLED);
  batch.progress = NULL;
  EXPECT(shoal_search(index, vectors[500], 2, NULL, found_ids, distances, &found, &error) == 0);
  EXPECT(found == 2 && found_ids[0] == 501 && distances[0] == 0 && distances[1] == 1);
  EXPECT(shoal_search(index, vectors[0], 0, NULL, found_ids, NULL, &found, &error) ==
         SHOAL_INVALID_ARGUMENT);
  EXPECT(shoal_search_many(index, vectors[10], 2, 4, NULL, NULL, found_ids, distances, counts,
                           &error) == SHOAL_OK);
  EXPECT(counts[0] == 4 && counts[1] == 4 && found_ids[0] == 11 && found_ids[4] == 12);
  EXPECT(shoal_range_search(index, vectors[500], 4, NULL, 3, found_ids, NULL, &found, &error) == 0);
  EXPECT(found == 5 && found_ids[0] == 501);
  test_many(index, vectors);
  EXPECT(shoal_get(index, 8, distances, &error) == SHOAL_OK && distances[0] == 7);
  EXPECT(shoal_upsert(index, 8, vectors[999], &error) == SHOAL_OK && shoal_contains(index, 8) == 1);
  EXPECT(shoal_delete(index, 8, &error) == SHOAL_OK && shoal_contains(index, 8) == 0);
  EXPECT(shoal_delete(index, 8, &error) == SHOAL_NOT_FOUND);
  EXPECT(shoal_delete_many(index, ids, 10, NULL, &done, &error) == SHOAL_OK && done == 9);
  EXPECT(shoal_ids(index, 8, found_ids, &found, &error) == SHOAL_OK && found == 990);
  EXPECT(shoal_consolidate(index, NULL, &error) == SHOAL_OK);
  EXPECT(shoal_compact(index, &batch, &done, &error) == SHOAL_OK);
  EXPECT(shoal_refine(index, NULL, &error) == SHOAL_OK);
  stats.struct_size = sizeof stats;
  EXPECT(shoal_stats(index, &stats, &error) == SHOAL_OK && stats.points == shoal_size(index));
  EXPECT(stats.bytes > sizeof(float) * 4 * 990 && stats.distances > 0);

  EXPECT(shoal_load("no such file", NULL, NULL, &again, &error) == SHOAL_FILE_NOT_FOUND);
  EXPECT(shoal_save(index, argv[1], NULL, &error) == SHOAL_OK);
  EXPECT(shoal_load(argv[1], NULL, NULL, &again, &error) == SHOAL_OK);
  EXPECT(again != NULL && shoal_size(again) == 990);
  EXPECT(shoal_clear(again, NULL, &error) == SHOAL_OK && shoal_size(again) == 0);
  EXPECT(strcmp(shoal_code_name(SHOAL_CANCELLED), "Cancelled") == 0);
  EXPECT(strcmp(shoal_code_name(SHOAL_FILE_NOT_FOUND), "FileNotFound") == 0);
  EXPECT(shoal_code_name(SHOAL_FILE_NOT_FOUND + 1)[0] == 0);
  EXPECT(shoal_abi_version() == 1);
  test_streams(index);
  test_filters(index, vectors[500]);
  test_sizes(index);
  snprintf(database, sizeof database, "%s.db", argv[1]);
  test_database(database, ids, vectors);
  snprintf(database, sizeof database, "%s.keyed", argv[1]);
  test_keys(database, vectors[0]);
  snprintf(database, sizeof database, "%s.rows", argv[1]);
  test_features(argv[1], database, vectors[50]);
  shoal_destroy(again);
  shoal_destroy(index);
  shoal_destroy(NULL);
  if (failures == 0) printf("shoal %s\n", shoal_version());
  return failures == 0 ? 0 : 1;
}
