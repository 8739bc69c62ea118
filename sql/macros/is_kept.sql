-- True for the two leaves of step_kept: work that still counts today.
CREATE OR REPLACE MACRO is_kept(leaf) AS
    leaf::VARCHAR IN ('ideal', 'slow');
