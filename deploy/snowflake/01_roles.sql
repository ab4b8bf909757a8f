-- Roles, each with as little as its work needs. Run as USERADMIN; names may be changed, in all files alike.
CREATE ROLE IF NOT EXISTS PAWL_DEPLOYER COMMENT = 'makes database, schemas, stage and policies; owns no data';
CREATE ROLE IF NOT EXISTS PAWL_LOADER COMMENT = 'what pawl runs as';
CREATE ROLE IF NOT EXISTS PAWL_READER COMMENT = 'reads the tables, personal data masked';
CREATE ROLE IF NOT EXISTS PAWL_READER_PII COMMENT = 'reads the tables, personal data too';
GRANT ROLE PAWL_READER TO ROLE PAWL_READER_PII;
GRANT ROLE PAWL_DEPLOYER TO ROLE SYSADMIN;
GRANT ROLE PAWL_READER_PII TO ROLE SYSADMIN;
GRANT ROLE PAWL_LOADER TO ROLE SYSADMIN;

-- pawl's own user: no password, a key pair (rotate with RSA_PUBLIC_KEY_2).
CREATE USER IF NOT EXISTS PAWL_USER TYPE = SERVICE DEFAULT_ROLE = PAWL_LOADER DEFAULT_WAREHOUSE = PAWL_LOADING
    COMMENT = 'pawl; RSA_PUBLIC_KEY is set by hand';
GRANT ROLE PAWL_LOADER TO USER PAWL_USER;
