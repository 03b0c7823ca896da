// The flags of all programs, each with one name and one meaning: DiskANN's names where DiskANN has
// the flag.
#pragma once

namespace shoal::apps {

// `names`: as CLI11 takes them, the long one first. `help`: without the default, which is added.
struct Flag {
  const char* names;
  const char* help;
};

namespace flags {

inline constexpr Flag kDataType = {"--data_type",
                                   "element type of the vectors: float, float16, int8 or uint8"};
// Of an index: DiskANN has no file for one of others. Of random vectors.
inline constexpr Flag kIndexDataType = {"--data_type",
                                        "element type of the vectors: float, int8 or uint8"};
inline constexpr Flag kDistFn = {"--dist_fn", "distance: l2, mips (inner product) or cosine"};
inline constexpr Flag kDataPath = {"--data_path", "vectors to index, .bin"};
inline constexpr Flag kBaseFile = {"--base_file", "vectors to search in, .bin"};
inline constexpr Flag kQueryFile = {"--query_file", "query vectors, .bin of the same type"};
inline constexpr Flag kIndexPathPrefix = {
    "--index_path_prefix", "the index: files <prefix> (graph), <prefix>.data and <prefix>.tags"};
inline constexpr Flag kResultPath = {
    "--result_path",
    "results go to <path>_<L>_idx_uint32.bin and <path>_<L>_dists_float.bin for every L"};
inline constexpr Flag kGtFileOut = {"--gt_file", "ground truth to write (ids and distances)"};
inline constexpr Flag kGtFileIn = {"--gt_file",
                                   "ground truth of the queries; null: recall is not computed"};
inline constexpr Flag kTagsFile = {
    "--tags_file", "tags of the base vectors, reported as ids; rows with tag 0 are left out"};
inline constexpr Flag kGtK = {"--K", "true neighbours to find for every query"};
inline constexpr Flag kRecallAt = {"--recall_at,-K", "neighbours to find for every query"};
inline constexpr Flag kSearchList = {
    "--search_list,-L",
    "one or more search list sizes, e.g. -L 10 20 40; those below K are skipped"};
inline constexpr Flag kNumThreads = {"--num_threads,-T",
                                     "threads; 0: one for each CPU this process may use"};
inline constexpr Flag kMaxDegree = {
    "--max_degree,-R",
    "most edges that leave a point, 4 to 512; in the streaming programs 1.3 times\n"
    "as many (at most 512), as in DiskANN's between two prunes"};
inline constexpr Flag kLbuild = {"--Lbuild,-L", "search list size of an insertion"};
inline constexpr Flag kAlpha = {
    "--alpha", "how much longer a detour may be before an edge is dropped, 1 to 2"};
inline constexpr Flag kPasses = {"--passes",
                                 "1, or 2: every edge is renewed once all points are in"};
inline constexpr Flag kDynamic = {
    "--dynamic", "true if the index has tags and a frozen point; needs --tags true"};
inline constexpr Flag kTags = {"--tags", "true to report tags in place of row numbers"};
inline constexpr Flag kFailIfRecallBelow = {
    "--fail_if_recall_below", "exit status 1 if the best recall of all L is below this percentage"};
inline constexpr Flag kPrintAllRecalls = {"--print_all_recalls", "recall at 1, 2, ... K"};
inline constexpr Flag kPrintQpsPerThread = {"--print_qps_per_thread", "QPS divided by the threads"};
inline constexpr Flag kPartMb = {
    "--part_mb", "MB of base vectors in memory at a time; larger files go in parts"};
inline constexpr Flag kFirstRow = {"--first_row", "the first row to convert, counted from 0"};
inline constexpr Flag kMaxRows = {"--max_rows", "most rows to convert; 0: all from the first on"};
inline constexpr Flag kSkipZeroVectors = {
    "--skip_zero_vectors",
    "cosine: leave zero vectors out, which have no direction; without it they are an error"};
// Of an index without tags.
inline constexpr Flag kNoSkipZeroVectors = {
    "--skip_zero_vectors",
    "must be absent: ids are row numbers; test_insert_deletes_consolidate has it"};
inline constexpr Flag kVerify = {"--verify", "read the whole file and compare every checksum"};

// Random vectors.
inline constexpr Flag kOutputFile = {"--output_file,-o", "vectors to write, .bin"};
inline constexpr Flag kNdims = {"--ndims,-D", "dimension"};
inline constexpr Flag kNpts = {"--npts,-N", "vectors to write"};
inline constexpr Flag kNorm = {
    "--norm,-n",
    "length of every vector, from the origin (uint8: from 128 in every element); int8 and\n"
    "uint8 need one, up to 127; 0 or less: as they come"};
inline constexpr Flag kRandScaling = {
    "--rand_scaling",
    "float without --norm: every vector is scaled by a random factor from 1 to this"};
inline constexpr Flag kSeed = {"--seed", "of all that is random; a file can be made again"};

// Streams.
inline constexpr Flag kStreamData = {"--data_path,--data_file", "vectors that come and go, .bin"};
inline constexpr Flag kMaxPointsToInsert = {
    "--max_points_to_insert", "rows of the file to insert, with those of the beginning; 0: all"};
inline constexpr Flag kPointsToSkip = {"--points_to_skip", "rows at the file's beginning left out"};
inline constexpr Flag kBeginningIndexSize = {
    "--beginning_index_size", "points to insert with all threads before anything else"};
inline constexpr Flag kPointsPerCheckpoint = {
    "--points_per_checkpoint", "points that are inserted (not concurrent: and deleted) at a time"};
inline constexpr Flag kCheckpointsPerSnapshot = {
    "--checkpoints_per_snapshot",
    "batches of inserts (not concurrent: and then of deletes) after which the index is\n"
    "saved as <prefix>.inc-...; 0: never"};
inline constexpr Flag kPointsToDelete = {"--points_to_delete_from_beginning",
                                         "how many of the first points to delete"};
inline constexpr Flag kStartDeletesAfter = {
    "--start_deletes_after", "concurrent: points that are inserted before the deletes begin"};
inline constexpr Flag kDoConcurrent = {
    "--do_concurrent",
    "true: half of the threads delete while the other half inserts; false: one after the other"};
inline constexpr Flag kActiveWindow = {"--active_window", "points in the window"};
inline constexpr Flag kConsolidateInterval = {"--consolidate_interval",
                                              "points that come, and that go, at a time"};
inline constexpr Flag kInsertThreads = {"--insert_threads",
                                        "threads that insert; 0: half of the CPUs"};
inline constexpr Flag kConsolidateThreads = {"--consolidate_threads",
                                             "threads that delete; 0: half of the CPUs"};
inline constexpr Flag kStartPointNorm = {
    "--start_point_norm", "a number, without effect: the index chooses where its searches start"};
inline constexpr Flag kNumStartPoints = {
    "--num_start_points", "a number, without effect: the index chooses where its searches start"};
inline constexpr Flag kUniqueLabels = {"--unique_labels_supported", "must be 0"};

// DiskANN has them, shoal does not yet: accepted with their default, refused with anything else.
inline constexpr Flag kBuildPqBytes = {"--build_PQ_bytes", "must be 0"};
inline constexpr Flag kUseOpq = {"--use_opq", "must be absent"};
inline constexpr Flag kLabelFile = {"--label_file", "must be empty"};
inline constexpr Flag kUniversalLabel = {"--universal_label", "must be empty"};
inline constexpr Flag kFilteredLbuild = {"--FilteredLbuild", "must be 0"};
inline constexpr Flag kFilterLabel = {"--filter_label", "must be empty"};
inline constexpr Flag kQueryFiltersFile = {"--query_filters_file", "must be empty"};
inline constexpr Flag kLabelType = {"--label_type", "without effect: there are no labels"};

}  // namespace flags
}  // namespace shoal::apps
