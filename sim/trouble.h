// Trouble: faults on request.
#pragma once

typedef struct Trouble {
    int kind;
} Trouble;

typedef struct Troubles {
    int count;
} Troubles;
