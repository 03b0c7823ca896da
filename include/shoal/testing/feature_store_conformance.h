// What every feature store must do (shoal/feature_store.h), as checks that need no test framework:
//
//   shoal::testing::FeatureStoreUnderTest mine;
//   mine.row_bytes = 100;
//   mine.make = [] { return std::make_unique<MyStore>(100); };
//   return shoal::testing::PrintFeatureStoreChecks(mine);
//
// Together they take less than a second on a store in memory. Run them under ThreadSanitizer and
// AddressSanitizer, too. The last two build an index over the store, and over it behind a store
// that fails on purpose (failing_feature_store.h).
#pragma once

#include <cstdio>
#include <vector>

#include "shoal/testing/feature_store_checks.h"
#include "shoal/testing/feature_store_index_checks.h"

namespace shoal::testing {

struct FeatureStoreCheck {
  const char* name;  // A property.
  Status (*run)(const FeatureStoreUnderTest&);
};

inline const std::vector<FeatureStoreCheck>& FeatureStoreChecks() {
  static const std::vector<FeatureStoreCheck> checks = {
#define SHOAL_CONFORMANCE_CHECK(name) {#name, &conformance::name}
      SHOAL_CONFORMANCE_CHECK(AllRowsOfAFetchStandTogether),
      SHOAL_CONFORMANCE_CHECK(RowsStandWhileOthersAreFetchedPutFreedAndGrown),
      SHOAL_CONFORMANCE_CHECK(EveryReaderSeesAPutThatReturned),
      SHOAL_CONFORMANCE_CHECK(MissingRowsAreLeftOutAndTheOthersKeepTheirPlaces),
      SHOAL_CONFORMANCE_CHECK(AFreedSlotIsUsedAgainAndGivesNoRowUnderItsFormerId),
      SHOAL_CONFORMANCE_CHECK(OneIdMayHaveTwoRows),
      SHOAL_CONFORMANCE_CHECK(RowsStayWhenTheStoreGrows),
      SHOAL_CONFORMANCE_CHECK(ASlotThatNoGrowHasMadeUsableHasNoRow),
      SHOAL_CONFORMANCE_CHECK(ARestingReaderHoldsNothing),
      SHOAL_CONFORMANCE_CHECK(AddressesLeadToTheRowsOfFetch),
      SHOAL_CONFORMANCE_CHECK(AReopenedStoreHasTheRowsThatWereSynced),
      SHOAL_CONFORMANCE_CHECK(ReadersBesideWritersGetWholeRowsOfTheLatestPut),
      SHOAL_CONFORMANCE_CHECK(AnIndexOverItAnswersAsOneInMemory),
      SHOAL_CONFORMANCE_CHECK(AnErrorOfTheStoreEndsItsCallAlone),
#undef SHOAL_CONFORMANCE_CHECK
  };
  return checks;
}

// Runs all of them and prints a line for each. Returns how many failed.
inline int PrintFeatureStoreChecks(const FeatureStoreUnderTest& test) {
  int failed = 0;
  for (const FeatureStoreCheck& check : FeatureStoreChecks()) {
    const Status status = check.run(test);
    failed += status ? 0 : 1;
    std::printf("%s: %s\n", check.name, status ? "OK" : status.error().message.c_str());
  }
  return failed;
}

}  // namespace shoal::testing
