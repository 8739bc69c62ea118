-- Upper 95 % limit of the expected number of failures when `r` were seen (Garwood, methods R-2);
-- over the node-days it is the upper limit of the rate. Exact from the table poisson_limits;
-- above its 20,000 by Wilson-Hilferty, which is there within 6e-9 of exact.
CREATE OR REPLACE MACRO poisson_hi(r) AS
    CASE
        WHEN r <= 20000 THEN (
            SELECT limits_hi
            FROM poisson_limits AS limits(limits_r, limits_lo, limits_hi)
            WHERE limits_r = r
        )
        ELSE (r + 1) * pow(1 - 1 / (9.0e0 * (r + 1)) + 1.959963984540054e0 / (3 * sqrt(r + 1)), 3)
    END;
