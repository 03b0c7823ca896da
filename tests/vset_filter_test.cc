// The filter language. What is marked as the genuine server's was answered so by Redis 8.0.2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "bindings/valkey/core/filter_expression.h"

namespace shoal::vset {
namespace {

constexpr const char* kMovie =
    R"({"y":1990,"s":"foo","n":null,"t":true,"arr":[1,"x"],"o":{"a":1},"e":"","a-b":1,"":7})";

bool Matches(const std::string& expression, const std::string& attribute = kMovie) {
  const auto filter = FilterExpression::Parse(expression);
  EXPECT_TRUE(filter) << expression << ": " << filter.error().message;
  return filter && filter->Matches(attribute);
}

std::string ErrorOf(const std::string& expression) {
  const auto filter = FilterExpression::Parse(expression);
  if (filter) return "";
  EXPECT_EQ(filter.error().code, ErrorCode::kInvalidArgument);
  const std::string prefix = "syntax error in FILTER expression near: ";
  EXPECT_TRUE(filter.error().message.starts_with(prefix)) << filter.error().message;
  return filter.error().message.substr(prefix.size());
}

TEST(Filter, MatchesWhatTheGenuineServerMatches) {
  for (const char* expression : {"2 ** 3 ** 2 == 512",
                                 "-2 ** 2 == 4",
                                 "1 - -1 == 2",
                                 ".y == \"1990\"",
                                 "10/0 > 1",
                                 ".y",
                                 ".s",
                                 ".t",
                                 ".arr",
                                 "!.n",
                                 "not .t == 0",
                                 "not .y ** 2 == 0",
                                 "!.t ** 0 == 1",
                                 "1 in .arr",
                                 "\"x\" in .arr",
                                 "\"1\" in .arr",
                                 "\"1\" in [1]",
                                 "1 in [\"1\"]",
                                 "1 in [\"1.0\"]",
                                 "1 in [1,2,]",
                                 "[1,2] == [1,2]",
                                 "[2] == [1]",
                                 "[1] == 0",
                                 "[]",
                                 "[ 1 , \"a\" ]",
                                 ".arr == .arr",
                                 ".s == \"foo\"",
                                 ".s == 0",
                                 ".s < 1",
                                 "\"12\" == 12.0",
                                 "\" 12\" == 12",
                                 "\"0x10\" == 16",
                                 "\"1e2\" == 100",
                                 "\"a\" + 1 == 1",
                                 "\"3\" + \"4\" == 7",
                                 "5 % 3 == 2",
                                 "-5 % 3 == -2",
                                 "5.5 % 2 == 1.5",
                                 "5 % 0",
                                 "0/0",
                                 "1 < 2 < 3",
                                 "1 == 1 == 1",
                                 "1 -1 == 0",
                                 "1-1 == 0",
                                 ".y -1 == 1989",
                                 ".y - 1 == 1989",
                                 "(.y)-1 == 1989",
                                 "1 --1 == 2",
                                 "1.5 == 3/2",
                                 "1. == 1",
                                 "1e3 == 1000",
                                 "1E3 == 1000",
                                 "1e400 > 1",
                                 "1 and 2",
                                 "1 && 2",
                                 "not 0",
                                 "not(0)",
                                 "!0",
                                 "! 0",
                                 "1 or 0 and 0",
                                 "0 or 1",
                                 "1 ||0",
                                 "'foo' == \"foo\"",
                                 "'fo\"o' == 'fo\"o'",
                                 "(((1)))",
                                 ".y in [1990]",
                                 "!(.y in [1])",
                                 "1 and2",
                                 "1and 2",
                                 "\"a\"and\"a\"",
                                 ".y>1and.y<3000",
                                 ".y==1990",
                                 ".e == \"\"",
                                 "2*3+4 == 10",
                                 "2+3*4 == 14",
                                 "2**-1 == 0.5",
                                 "6/3*2 == 4",
                                 "2*3%4 == 2",
                                 "1 in [1] == 1",
                                 "1 == 1 in [1]",
                                 "1 > 0 == 1",
                                 ".t + 1 == 2",
                                 ".arr + 1",
                                 ".arr == 0",
                                 ".a-b == 1",
                                 ".y*-1 == -1990",
                                 "[-1] == 0",
                                 "-1 in [-1]",
                                 "\"x\"-1 == -1",
                                 "[1]-1 == -1",
                                 "-5",
                                 "1 in[1]",
                                 "1in[1]",
                                 "'1'==1.0"})
    EXPECT_TRUE(Matches(expression)) << expression;
}

// What Redis 8.0.2 does not know yet.
TEST(Filter, KnowsNullDoubleNegationEscapesAndPartsOfStrings) {
  for (const char* expression : {"\"foo\" in \"foobar\"",
                                 "\"\" in \"foo\"",
                                 "'' in .e",
                                 "\"f\" in .s",
                                 ".s in .s",
                                 "!!1",
                                 "not not 1",
                                 "!!!0",
                                 ".n == null",
                                 "null == null",
                                 "null != 0",
                                 "!null",
                                 "null in [null]",
                                 ".n in [1, null]",
                                 "!(null in [0])",
                                 R"("fo\"o" == 'fo"o')",
                                 R"('a\'b' == "a'b")",
                                 R"("a\\b" != "a")",
                                 R"('\u0041\n' == "A\n")",
                                 "1e-3 < 1",
                                 "1e+3 == 1000",
                                 "1e3-1 == 999"})
    EXPECT_TRUE(Matches(expression)) << expression;
}

TEST(Filter, RefusesElementsThatTheGenuineServerRefuses) {
  for (const char* expression : {".5",
                                 ".e",
                                 ".n",
                                 ".o",
                                 "!.missing",
                                 ".y > 1 or .missing == 2",
                                 "!(.missing == 2)",
                                 "1 or .missing",
                                 "0 and .missing",
                                 "not .missing",
                                 "1 in .missing",
                                 "!.o",
                                 "1 in []",
                                 "1 in [ ]",
                                 "[1,2] != [1,2]",
                                 ".s != \"foo\"",
                                 ".s > 0",
                                 "\"12abc\" == 12",
                                 "\"12 \" == 12",
                                 "\"12\" == \"12.0\"",
                                 "0/0 == 0/0",
                                 "3 > 2 > 1",
                                 "2 == 2 == 2",
                                 "2 ** -1 ** 2 == 0.5",
                                 ".y in .y",
                                 "1 != 1",
                                 ".y-1 == 1989",
                                 "not1"})
    EXPECT_FALSE(Matches(expression)) << expression;
}

TEST(FilterSyntax, ErrorsShowWhatIsLeft) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[1, .y]", ".y]"},
      {"1 in [1 2]", "2]"},
      {"1 AND 2", " 2"},
      {"1 aNd 2", " 2"},
      {"NOT 0", " 0"},
      {"1|0", "0"},
      {"1 & 1", " 1"},
      {"1 = 1", " 1"},
      {"1 =< 2", " 2"},
      {"1 < = 2", " 2"},
      {"0x10 == 16", "10 == 16"},
      {"1_000", "_000"},
      {".y == 1990 #", "#"},
      {"(1,2)", ",2)"},
      {"[,]", ",]"},
      {"[1,,2]", ",2]"},
      {"[\"a\" \"b\"]", "\"b\"]"},
      {"true", "true"},
      {"(1", "(1"},
      {"- 1 == -1", "- 1 == -1"},
      {"-.y", "-.y"},
      {"$a", "$a"},
      {"1 in", "1 in"},
      {"\"abc", "\"abc"},
      {"1.2.3", "1.2.3"},
      {".\xc3\xa9 == 1", "\xc3\xa9 == 1"},
  };
  for (const auto& [expression, near] : cases) EXPECT_EQ(ErrorOf(expression), near) << expression;
  // Of a value too many the genuine server shows the whole expression.
  EXPECT_EQ(ErrorOf("1 == 1 .y"), ".y");
  EXPECT_EQ(ErrorOf("1 \n"), "");
  EXPECT_EQ(ErrorOf("1 \n$"), "$");
  EXPECT_EQ(ErrorOf("$\n" + std::string(62, 'a') + "\xc3\xa9"), "$?" + std::string(62, 'a'));
}

TEST(FilterSyntax, RefusesWhatIsNoExpression) {
  for (const char* expression :
       {"",       " ",         "()",        "1)",      ")",      ")(",          "((1)",
        "1 2",    "1 === 1",   "1 == == 1", "+ 1",     "in [1]", "in",          "and 1",
        "1 and",  "!",         "not",       "nota",    "in1",    ".o.a == 1",   ".y.s",
        "..",     "[[1]]",     "1 ! 1",     "(1)(1)",  "1(1)",   "\"a\" \"b\"", "1 not 1",
        "1 <> 2", "1 andor 2", "1 in [",    "1 in [1", "- 5",    "-.5 == 0",    "NULL",
        "nullx",  "'a\\'",     "1e == 1",   "+1",      "--1",    "-(1) == -1",  "{}"})
    EXPECT_FALSE(FilterExpression::Parse(expression)) << expression;
}

TEST(FilterSyntax, BoundsLengthNestingAndFields) {
  const auto nested = [](size_t n) { return std::string(n, '(') + "1" + std::string(n, ')'); };
  EXPECT_TRUE(Matches(nested(FilterExpression::kMaxNesting)));
  EXPECT_NE(ErrorOf(nested(FilterExpression::kMaxNesting + 1)), "");
  EXPECT_TRUE(Matches(std::string(FilterExpression::kMaxNesting, '!') + "1"));
  EXPECT_NE(ErrorOf(std::string(FilterExpression::kMaxNesting + 1, '!') + "1"), "");
  std::string powers = "1";
  for (size_t i = 0; i < FilterExpression::kMaxNesting; ++i) powers += "**1";
  EXPECT_TRUE(Matches(powers));
  EXPECT_NE(ErrorOf(powers + "**1"), "");

  std::string sum = "1";
  while (sum.size() + 2 <= FilterExpression::kMaxLength) sum += "+1";
  EXPECT_TRUE(Matches(sum));
  EXPECT_NE(ErrorOf(sum + "+1"), "");
  EXPECT_LE(ErrorOf(std::string(100000, '(')).size(), 64u);

  std::string fields = ".f0";
  std::string attribute = R"({"f0":0)";
  for (size_t i = 1; i < FilterExpression::kMaxFields; ++i) {
    fields += " or .f" + std::to_string(i);
    attribute += ",\"f" + std::to_string(i) + "\":" + std::to_string(i / 63);
  }
  EXPECT_TRUE(Matches(fields, attribute + "}"));
  EXPECT_NE(ErrorOf(fields + " or .more"), "");
}

struct FieldCase {
  const char* attribute;
  const char* expression;
  bool matches;
};

void ExpectCases(std::initializer_list<FieldCase> cases) {
  for (const auto& [attribute, expression, matches] : cases)
    EXPECT_EQ(Matches(expression, attribute), matches) << attribute << " " << expression;
}

TEST(FilterField, IsReadAsTheGenuineServerReadsIt) {
  ExpectCases({FieldCase{R"({"a":1,"a":2})", ".a == 1", true},
               FieldCase{R"({"A":1})", ".a == 1", false},
               FieldCase{R"({"a":[1,[2]]})", "1 in .a", true},
               FieldCase{R"({"a":[1,null]})", "1 in .a", true},
               FieldCase{R"({"a":[0,true]})", "1 in .a", true},
               FieldCase{R"({"a":[1,{}]})", "1 in .a", false},
               FieldCase{R"({"a":[]})", ".a", true},
               FieldCase{R"({"a":1} x)", ".a == 1", true},
               FieldCase{R"({"a":1)", ".a == 1", true},
               FieldCase{R"({"a":1,"b":})", ".a == 1", true},
               FieldCase{R"({a:1})", ".a == 1", false},
               FieldCase{R"({'a':1})", ".a == 1", false},
               FieldCase{"[1]", "1 == 1", true},
               FieldCase{"x", "1 == 1", true},
               FieldCase{"", "1 == 1", false},
               FieldCase{"{}", "1 == 1", true},
               FieldCase{R"({"a":"x\"y"})", ".a == 'x\"y'", true},
               FieldCase{R"({"\u0061":1})", ".a == 1", false},
               FieldCase{R"({"a":01})", ".a == 1", true},
               FieldCase{R"({"a":+1})", ".a == 1", true},
               FieldCase{R"({"a":-1})", ".a == -1", true},
               FieldCase{R"({"a":.5})", ".a == 0.5", false},
               FieldCase{R"({"a":1E+2})", ".a == 100", true},
               FieldCase{R"({"a":0x10})", ".a == 16", false},
               FieldCase{R"({"a":1e999})", ".a > 1", true},
               FieldCase{R"({"a":NaN})", ".a", false},
               FieldCase{R"({"a":tru})", ".a", false},
               FieldCase{R"( {"a" : 1 })", ".a == 1", true},
               FieldCase{R"({"a":{"a":2},"b":1})", ".b == 1", true},
               FieldCase{R"({"b":{"a":2}})", ".a == 2", false},
               FieldCase{R"({"b":"{\"a\":3}","a":1})", ".a == 1", true},
               FieldCase{R"({"b":[{"a":3}],"a":1})", ".a == 1", true},
               FieldCase{R"({"a":[1 2]})", "1 in .a", false},
               FieldCase{R"({"a":[1,]})", "1 in .a", false},
               FieldCase{R"({"a":"\x"})", ".a == 'x'", true},
               FieldCase{R"({"a":null})", ".a == 0", false},
               FieldCase{R"({"a":null})", ".a == ''", false},
               FieldCase{R"({"a":null})", ".a < 1", true},
               FieldCase{R"({"a":null})", ".a in [1]", false},
               FieldCase{R"({"a":[2]})", ".a == [1]", true},
               FieldCase{R"({"a":""})", ".a == 0", true},
               FieldCase{R"({"a_b":1})", ".a_b == 1", true},
               FieldCase{R"({"a":[null]})", ".a", true}});
}

// Redis 8.0.2 leaves the escapes of control characters and \u as they are.
TEST(FilterField, HasItsEscapesResolved) {
  ExpectCases({FieldCase{R"({"a":"\u0041\n"})", ".a == 'A\\n'", true},
               FieldCase{R"({"a":["\u0041"]})", "'A' in .a", true},
               FieldCase{R"({"a":"\ud83d\ude00"})", ".a == '\xf0\x9f\x98\x80'", true},
               FieldCase{R"({"a":"\ud83d"})", ".a == '\xef\xbf\xbd'", true}});
}

TEST(FilterEvaluation, IsTheSameForCopiesAndAfterTheTextIsGone) {
  FilterExpression copy = *FilterExpression::Parse("1 in [2]");
  {
    std::string text = ".name in ['a long string that is not kept in place', 'b']";
    const FilterExpression filter = *FilterExpression::Parse(text);
    text.assign(text.size(), 'x');
    copy = filter;
  }
  EXPECT_TRUE(copy.Matches(R"({"name":"a long string that is not kept in place"})"));
  EXPECT_FALSE(copy.Matches(R"({"name":"c"})"));
}

TEST(FilterHostileInput, EveryTextIsAnErrorOrAnExpressionThatEveryAttributeCanBeAskedOf) {
  const std::vector<std::string> words = {"(",   ")",     "[",       "]",
                                          ",",   ".a",    ".b",      "'x'",
                                          "\"",  "'",     "\\",      "1",
                                          "-1",  "1e9",   "**",      "*",
                                          "/",   "%",     "+",       "-",
                                          ">",   ">=",    "<",       "<=",
                                          "==",  "!=",    "in",      "and",
                                          "or",  "&&",    "||",      "!",
                                          "not", "null",  "{",       "}",
                                          ":",   "\"a\"", "\"a\":",  "true",
                                          "e",   "\\u",   "\\ud800", std::string(1, '\0'),
                                          "\xff"};
  std::mt19937 random(7);
  const auto text = [&](size_t most) {
    std::string made;
    for (size_t n = random() % most; n > 0; --n) made += words[random() % words.size()];
    return made;
  };
  size_t compiled = 0;
  size_t matched = 0;
  for (int i = 0; i < 30000; ++i) {
    const auto filter = FilterExpression::Parse(text(9));
    if (!filter) continue;
    ++compiled;
    for (int j = 0; j < 5; ++j) matched += filter->Matches("{\"a\":" + text(12)) ? 1 : 0;
    matched += filter->Matches(R"({"a":[1,"x",null],"b":"1"})") ? 1 : 0;
  }
  EXPECT_GT(compiled, 300u);
  EXPECT_GT(matched, 300u);
}

TEST(FilterHostileInput, DeepJsonTakesNoStack) {
  const std::string deep(1 << 22, '[');
  EXPECT_FALSE(Matches(".a", "{\"b\":" + deep + ",\"a\":1}"));
  EXPECT_TRUE(Matches(".a", "{\"b\":" + deep + std::string(deep.size(), ']') + ",\"a\":1}"));
}

}  // namespace
}  // namespace shoal::vset
