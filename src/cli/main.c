// The program. Everything is in cli.c, so that the one which comes with libpawl is the same.
#include "pawl/pawl.h"

int main(int argc, char **argv)
{
    return pawl_main(argc, argv);
}
