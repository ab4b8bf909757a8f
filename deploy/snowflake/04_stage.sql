-- The external stage on Azure storage. The integration is made once, as ACCOUNTADMIN; DESC INTEGRATION then shows the consent
-- URL and the application that needs the role "Storage Blob Data Reader" on the container (pawl itself writes and removes).
CREATE STORAGE INTEGRATION IF NOT EXISTS PAWL_AZURE TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'AZURE' ENABLED = TRUE
    AZURE_TENANT_ID = '00000000-0000-0000-0000-000000000000'
    STORAGE_ALLOWED_LOCATIONS = ('azure://ACCOUNT.blob.core.windows.net/CONTAINER/pawl-stage/');
GRANT USAGE ON INTEGRATION PAWL_AZURE TO ROLE PAWL_DEPLOYER;

USE ROLE PAWL_DEPLOYER;
-- The URL is the root of the store that the job's warehouse.stage.files names.
CREATE STAGE IF NOT EXISTS CALLS_DB.CTM.LAND URL = 'azure://ACCOUNT.blob.core.windows.net/CONTAINER/pawl-stage/'
    STORAGE_INTEGRATION = PAWL_AZURE
    FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE NULL_IF = ());
GRANT USAGE ON STAGE CALLS_DB.CTM.LAND TO ROLE PAWL_LOADER;
