/* Choosing from a list: the score against the probability that the budget holds. */
#include <criterion/criterion.h>

#include "choose.h"

enum { PLENTY = 200 };

/* A list whose upper tenth is one point behind the best, and surely holds. */
static size_t fill(struct chance *list, double holds) {
    for (size_t i = 0; i < PLENTY; i++) list[i] = (struct chance){i, i == 7 ? 71 : 70, i == 7 ? holds : 1};
    return PLENTY;
}

Test(choose, best_when_all_hold_alike) {
    struct chance list[PLENTY];
    cr_expect_eq(choose(list, fill(list, 1)), 7);
    struct chance alone = {3, -5, 0.5};
    cr_expect_eq(choose(&alone, 1), 3);
}

/* A halving of the probability costs half of the lead, so two break even. */
Test(choose, lead_is_worth_two_halvings) {
    struct chance list[PLENTY];
    cr_expect_eq(choose(list, fill(list, 0.26)), 7);
    cr_expect_eq(choose(list, fill(list, 0.24)), 0);
}

Test(choose, scores_have_no_unit) {
    struct chance list[PLENTY];
    for (int unit = -3; unit <= 3; unit++)
        for (int better = 0; better < 2; better++) {
            fill(list, better ? 0.26 : 0.24);
            for (size_t i = 0; i < PLENTY; i++) list[i].score = 1e3 * unit + list[i].score * (unit + 4);
            cr_expect_eq(choose(list, PLENTY), better ? 7 : 0);
        }
}

/* Of two that are nearly as good the one that holds is taken; a third far behind changes nothing. */
Test(choose, few_are_compared_with_the_last) {
    struct chance list[] = {{0, 50, 1}, {1, 70.1, 0.6}, {2, 70, 0.99}};
    cr_expect_eq(choose(list, 3), 2);
}

Test(choose, equal_scores) {
    struct chance list[] = {{2, 70, 0.9}, {0, 70, 0.8}, {1, 70, 0.9}};
    cr_expect_eq(choose(list, 3), 1);
}
