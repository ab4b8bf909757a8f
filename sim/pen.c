#include "pen.h"

#define ROW10(tens) \
    tens "0" tens "1" tens "2" tens "3" tens "4" tens "5" tens "6" tens "7" tens "8" tens "9"
#define ROW16(high)                                                                                \
    high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high \
         "a" high "b" high "c" high "d" high "e" high "f"

// clang-format off
const char pen_two_digits[200] = ROW10("0") ROW10("1") ROW10("2") ROW10("3") ROW10("4")
                                 ROW10("5") ROW10("6") ROW10("7") ROW10("8") ROW10("9");
const char pen_two_hex[512] = ROW16("0") ROW16("1") ROW16("2") ROW16("3") ROW16("4") ROW16("5")
                              ROW16("6") ROW16("7") ROW16("8") ROW16("9") ROW16("a") ROW16("b")
                              ROW16("c") ROW16("d") ROW16("e") ROW16("f");
// clang-format on
const char pen_url_letters[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
