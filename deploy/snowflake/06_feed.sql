-- Only where pawl is to look at a table that another tool fills, or to take it over; schema and table are yours to name.
-- Run as whoever owns them. For `pawl audit`:
GRANT USAGE ON SCHEMA CALLS_DB.FIVE TO ROLE PAWL_LOADER;
GRANT SELECT ON TABLE CALLS_DB.FIVE.CALLS TO ROLE PAWL_LOADER;
-- For `pawl audit --repair`, besides:
GRANT INSERT, UPDATE ON TABLE CALLS_DB.FIVE.CALLS TO ROLE PAWL_LOADER;
-- For `pawl adopt`, which renames the table and leaves a view under its name, besides:
GRANT CREATE TABLE, CREATE VIEW ON SCHEMA CALLS_DB.FIVE TO ROLE PAWL_LOADER;
GRANT OWNERSHIP ON TABLE CALLS_DB.FIVE.CALLS TO ROLE PAWL_LOADER COPY CURRENT GRANTS;
