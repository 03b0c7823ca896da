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

inline constexpr Flag kDataType = {
    "--data_type", "element type of the vectors: float, float16, int8, uint8 or bit"};
// For an index, since DiskANN's files hold no other type; and for random vectors.
inline constexpr Flag kIndexDataType = {"--data_type",
                                        "element type of the vectors: float, int8, uint8 or bit"};
inline constexpr Flag kDistFn = {"--dist_fn",
                                 "distance: l2, mips (inner product), cosine, manhattan\n(sum of "
                                 "differences), or hamming (of data type bit)"};
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
inline constexpr Flag kGtK = {"--K", "number of true neighbours of every query"};
inline constexpr Flag kRecallAt = {"--recall_at,-K", "number of neighbours of every query"};
inline constexpr Flag kSearchList = {
    "--search_list,-L",
    "one or more search list sizes, e.g. -L 10 20 40; sizes below K are skipped"};
inline constexpr Flag kNumThreads = {
    "--num_threads,-T", "number of threads; 0: one for each CPU that this process may use"};
inline constexpr Flag kMaxDegree = {
    "--max_degree,-R",
    "largest number of out-edges of a point, 4 to 512; the streaming programs allow\n"
    "1.3 times as many (at most 512), as DiskANN does between two prunes"};
inline constexpr Flag kLbuild = {"--Lbuild,-L", "search list size of an insert"};
inline constexpr Flag kAlpha = {
    "--alpha", "how much longer a detour may be before an edge is dropped, 1 to 2"};
inline constexpr Flag kCodec = {
    "--codec",
    "what searches traverse: full, float16 (of float vectors), bfloat16, sq8, rq4 to rq1,\n"
    "sign; or auto, which suits type and dimension. The graph is built on it, too"};
inline constexpr Flag kRerankCodec = {
    "--rerank_codec",
    "what orders the hits and is written to files: full, float16, bfloat16 or sq8, or the\n"
    "same as --codec"};
inline constexpr Flag kRerank = {
    "--rerank", "how many of the L candidates are scored by --rerank_codec; 0: a few times K"};
inline constexpr Flag kTargetRecall = {
    "--target_recall",
    "above 0, below 100: one more row, with the list size, rerank count and stop margin\n"
    "that were measured to reach this recall at K, in percent, on the index's own points"};
inline constexpr Flag kPasses = {
    "--passes", "1; or 2: all edges are computed again once all points are inserted"};
inline constexpr Flag kDynamic = {"--dynamic",
                                  "true: the index has tags and a frozen point; needs --tags true"};
inline constexpr Flag kTags = {"--tags", "true: report tags in place of row numbers"};
inline constexpr Flag kFailIfRecallBelow = {
    "--fail_if_recall_below", "exit status 1 if the best recall of all L is below this percentage"};
inline constexpr Flag kPrintAllRecalls = {"--print_all_recalls", "print recall at 1, 2, ... K"};
inline constexpr Flag kPrintQpsPerThread = {"--print_qps_per_thread",
                                            "print QPS divided by the number of threads"};
inline constexpr Flag kPartMb = {
    "--part_mb", "MB of base vectors in memory at a time; a larger file is read in parts"};
inline constexpr Flag kFirstRow = {"--first_row", "the first row to convert, counted from 0"};
inline constexpr Flag kMaxRows = {"--max_rows",
                                  "largest number of rows to convert; 0: all from --first_row on"};
inline constexpr Flag kSkipZeroVectors = {
    "--skip_zero_vectors",
    "cosine: leave out zero vectors, which have no direction; without it they are an error"};
// For an index without tags.
inline constexpr Flag kNoSkipZeroVectors = {
    "--skip_zero_vectors",
    "must be absent, since ids are row numbers; use test_insert_deletes_consolidate"};
inline constexpr Flag kVerify = {"--verify", "read the whole file and compare every checksum"};

// Random vectors.
inline constexpr Flag kOutputFile = {"--output_file,-o", "vectors to write, .bin"};
inline constexpr Flag kNdims = {"--ndims,-D", "dimension"};
inline constexpr Flag kNpts = {"--npts,-N", "number of vectors to write"};
inline constexpr Flag kNorm = {
    "--norm,-n",
    "norm of every vector (uint8: of its difference from 128 in every element); int8 and\n"
    "uint8 need one, up to 127; bits have none; 0 or less: not scaled"};
inline constexpr Flag kRandScaling = {
    "--rand_scaling", "float without --norm: scale every vector by a random factor from 1 to this"};
inline constexpr Flag kSeed = {"--seed", "random seed; the same flags and seed make the same file"};

// Labels.
inline constexpr Flag kLabelFile = {
    "--label_file", "text: line i has the labels of point i, with commas between them"};
inline constexpr Flag kLabelsFile = {
    "--labels_file", "text: a line of labels for each point, with commas between them"};
inline constexpr Flag kUniversalLabel = {"--universal_label",
                                         "a point with this label has all labels"};
inline constexpr Flag kFilteredLbuild = {"--FilteredLbuild",
                                         "a number, without effect: the graph needs no labels"};
inline constexpr Flag kFilterLabel = {"--filter_label", "find points with this label only"};
inline constexpr Flag kQueryFiltersFile = {
    "--query_filters_file",
    "text: line i has the label that hits of query i must have; one line is for all"};
inline constexpr Flag kFilterLabelFile = {
    "--filter_label_file", "text: line i has the label that neighbours of query i must have"};
inline constexpr Flag kLabelType = {"--label_type", "without effect: labels are words"};
inline constexpr Flag kLabelsOut = {"--output_file,-O", "label file to write"};
inline constexpr Flag kNumPoints = {"--num_points,-N", "number of points, each with a line"};
inline constexpr Flag kNumLabels = {"--num_labels,-L", "number of different labels, 1 to 5000"};
inline constexpr Flag kDistributionType = {
    "--distribution_type",
    "random: each label of half of the points; zipf: label i of .7 / i of them;\n"
    "one_per_point: one label each, or 0"};
inline constexpr Flag kDensity = {"--density", "points with so many labels are dense"};

// Streams.
inline constexpr Flag kStreamData = {"--data_path,--data_file",
                                     "vectors to insert and delete, .bin"};
inline constexpr Flag kMaxPointsToInsert = {
    "--max_points_to_insert",
    "number of rows to insert, those of --beginning_index_size included; 0: all"};
inline constexpr Flag kPointsToSkip = {"--points_to_skip",
                                       "number of rows to skip at the start of the file"};
inline constexpr Flag kBeginningIndexSize = {"--beginning_index_size",
                                             "number of points to insert first, with all threads"};
inline constexpr Flag kPointsPerCheckpoint = {
    "--points_per_checkpoint",
    "number of points in a batch of inserts (not concurrent: and of deletes)"};
inline constexpr Flag kCheckpointsPerSnapshot = {
    "--checkpoints_per_snapshot",
    "number of batches of inserts (not concurrent: and of deletes) after which the index\n"
    "is saved as <prefix>.inc-...; 0: never"};
inline constexpr Flag kPointsToDelete = {"--points_to_delete_from_beginning",
                                         "number of points to delete, from the first on"};
inline constexpr Flag kStartDeletesAfter = {
    "--start_deletes_after", "concurrent: number of points to insert before the deletes begin"};
inline constexpr Flag kDoConcurrent = {
    "--do_concurrent",
    "true: half of the threads delete while the others insert; false: first inserts, then deletes"};
inline constexpr Flag kActiveWindow = {"--active_window", "number of points in the window"};
inline constexpr Flag kConsolidateInterval = {
    "--consolidate_interval", "number of points in a batch of inserts, and of deletes"};
inline constexpr Flag kInsertThreads = {"--insert_threads",
                                        "number of threads that insert; 0: half of the CPUs"};
inline constexpr Flag kConsolidateThreads = {"--consolidate_threads",
                                             "number of threads that delete; 0: half of the CPUs"};
inline constexpr Flag kStartPointNorm = {
    "--start_point_norm", "a number, without effect: the index chooses its start point"};
inline constexpr Flag kNumStartPoints = {
    "--num_start_points", "a number, without effect: the index chooses its start point"};
inline constexpr Flag kUniqueLabels = {"--unique_labels_supported",
                                       "a number, without effect: the graph needs no labels"};

// Flags of DiskANN's that shoal does not support yet: only the default is accepted.
inline constexpr Flag kBuildPqBytes = {"--build_PQ_bytes", "must be 0"};
inline constexpr Flag kUseOpq = {"--use_opq", "must be absent"};

}  // namespace flags
}  // namespace shoal::apps
