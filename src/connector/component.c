#include "connector/component.h"

#include <stdio.h>

enum { FIELDS_MAX = 48 };

typedef struct Component {
    const char *type;
    const char *fields;   // separated by blanks
    const char *required; // of those
} Component;

// clang-format off
static const Component components[] = {
    {"AddFields", "fields condition", "fields"},
    {"AddedFieldDefinition", "path value value_type", "path value"},
    {"ApiKey", "inject_into api_token", "inject_into"},
    {"ApiKeyAuthenticator", "api_token header inject_into", ""},
    {"AsyncJobStatusMap", "running completed failed timeout skipped", "running completed failed timeout"},
    {"AsyncRetriever", "record_selector status_mapping status_extractor download_target_extractor download_extractor creation_requester polling_requester polling_job_timeout failed_retry_wait_time_in_seconds download_target_requester download_requester download_paginator abort_requester delete_requester partition_router decoder download_decoder", "record_selector status_mapping creation_requester polling_requester download_requester status_extractor"},
    {"BasicHttpAuthenticator", "username password", "username"},
    {"Bearer", "", ""},
    {"BearerAuthenticator", "api_token", "api_token"},
    {"BlockSimultaneousSyncsAction", "", ""},
    {"CheckDynamicStream", "stream_count use_check_availability config_overrides", "stream_count"},
    {"CheckStream", "stream_names dynamic_streams_check_configs config_overrides", ""},
    {"CombinedExtractor", "extractors mode skip_empty_records", "extractors"},
    {"ComponentMappingDefinition", "field_path value value_type create_or_update condition", "field_path value"},
    {"CompositeErrorHandler", "error_handlers", "error_handlers"},
    {"ConcurrencyLevel", "default_concurrency max_concurrency", "default_concurrency"},
    {"ConditionalStreams", "condition streams", "streams condition"},
    {"ConfigAddFields", "fields condition", "fields"},
    {"ConfigComponentsResolver", "stream_config components_mapping", "stream_config components_mapping"},
    {"ConfigMigration", "description transformations", "transformations"},
    {"ConfigRemapField", "map field_path", "map field_path"},
    {"ConfigRemoveFields", "field_pointers condition", "field_pointers"},
    {"ConstantBackoffStrategy", "backoff_time_in_seconds jitter_range_in_seconds", "backoff_time_in_seconds"},
    {"CsvDecoder", "encoding delimiter set_values_to_none", ""},
    {"CursorPagination", "cursor_value page_size stop_condition", "cursor_value"},
    {"CustomAuthenticator", "class_name", "class_name"},
    {"CustomBackoffStrategy", "class_name", "class_name"},
    {"CustomConfigTransformation", "class_name", "class_name"},
    {"CustomDecoder", "class_name", "class_name"},
    {"CustomErrorHandler", "class_name", "class_name"},
    {"CustomPaginationStrategy", "class_name", "class_name"},
    {"CustomPartitionRouter", "class_name", "class_name"},
    {"CustomRecordExtractor", "class_name", "class_name"},
    {"CustomRecordFilter", "class_name", "class_name"},
    {"CustomRequester", "class_name", "class_name"},
    {"CustomRetriever", "class_name", "class_name"},
    {"CustomSchemaLoader", "class_name", "class_name"},
    {"CustomSchemaNormalization", "class_name", "class_name"},
    {"CustomStateMigration", "class_name", "class_name"},
    {"CustomTransformation", "class_name", "class_name"},
    {"CustomValidationStrategy", "class_name", "class_name"},
    {"DatetimeBasedCursor", "clamping cursor_field allow_catalog_defined_cursor_field cursor_datetime_formats start_datetime start_time_option end_datetime end_time_option datetime_format cursor_granularity is_data_feed is_client_side_incremental is_compare_strictly global_substream_cursor lookback_window partition_field_end partition_field_start step", "cursor_field datetime_format start_datetime"},
    {"DeclarativeSource", "check streams dynamic_streams version schemas definitions spec concurrency_level api_budget stream_groups max_concurrent_async_job_count metadata description", ""},
    {"DeclarativeStream", "name retriever incremental_sync primary_key schema_loader transformations state_migrations file_uploader", "retriever"},
    {"DefaultErrorHandler", "backoff_strategies max_retries response_filters", ""},
    {"DefaultPaginator", "pagination_strategy page_size_option page_token_option", "pagination_strategy"},
    {"DpathExtractor", "field_path record_expander", "field_path"},
    {"DpathFlattenFields", "field_path delete_origin_value replace_record key_transformation", "field_path"},
    {"DpathValidator", "field_path validation_strategy", "field_path validation_strategy"},
    {"DynamicDeclarativeStream", "name stream_template components_resolver use_parent_parameters", "stream_template components_resolver"},
    {"DynamicSchemaLoader", "retriever schema_filter schema_transformations schema_type_identifier", "retriever schema_type_identifier"},
    {"DynamicStreamCheckConfig", "dynamic_stream_name stream_count", "dynamic_stream_name"},
    {"ExponentialBackoffStrategy", "factor jitter_range_in_seconds", ""},
    {"FixedWindowCallRatePolicy", "period call_limit matchers", "period call_limit matchers"},
    {"FlattenFields", "flatten_lists", ""},
    {"GroupByKeyMergeStrategy", "key", "key"},
    {"GroupingPartitionRouter", "group_size underlying_partition_router deduplicate", "group_size underlying_partition_router"},
    {"GzipDecoder", "decoder", "decoder"},
    {"HTTPAPIBudget", "policies ratelimit_reset_header ratelimit_remaining_header status_codes_for_ratelimit_hit", "policies"},
    {"HttpComponentsResolver", "retriever components_mapping", "retriever components_mapping"},
    {"HttpRequester", "url_base url path http_method authenticator fetch_properties_from_endpoint query_properties request_parameters request_headers request_body_data request_body_json request_body error_handler use_cache connect_timeout_in_seconds read_timeout_in_seconds use_tcp_keepalive", ""},
    {"HttpResponseFilter", "action failure_type error_message error_message_contains http_codes predicate", ""},
    {"IncrementingCountCursor", "cursor_field allow_catalog_defined_cursor_field start_value start_value_option", "cursor_field"},
    {"InlineSchemaLoader", "schema", ""},
    {"IterableDecoder", "", ""},
    {"JsonDecoder", "", ""},
    {"JsonFileSchemaLoader", "file_path", ""},
    {"JsonItemsDecoder", "items_path encoding", "items_path"},
    {"JsonSchemaPropertySelector", "transformations", ""},
    {"JsonlDecoder", "", ""},
    {"JwtAuthenticator", "secret_key base64_encode_secret_key algorithm token_duration header_prefix jwt_headers additional_jwt_headers jwt_payload additional_jwt_payload passphrase request_option", "secret_key algorithm"},
    {"KeyTransformation", "prefix suffix", ""},
    {"KeysReplace", "old new", "old new"},
    {"KeysToLower", "", ""},
    {"KeysToSnakeCase", "", ""},
    {"LegacySessionTokenAuthenticator", "header login_url session_token session_token_response_key username password validate_session_url", "header login_url session_token_response_key validate_session_url"},
    {"LegacyToPerPartitionStateMigration", "", ""},
    {"ListPartitionRouter", "cursor_field values request_option", "cursor_field values"},
    {"MinMaxDatetime", "datetime datetime_format max_datetime min_datetime", "datetime"},
    {"MovingWindowCallRatePolicy", "rates matchers", "rates matchers"},
    {"NoAuth", "", ""},
    {"NoPagination", "", ""},
    {"OAuthAuthenticator", "client_id_name client_id client_secret_name client_secret refresh_token_name refresh_token token_refresh_endpoint access_token_name access_token_value expires_in_name grant_type_name grant_type refresh_request_body refresh_request_headers send_refresh_request_as_query_params scopes token_expiry_date token_expiry_date_format refresh_token_error_status_codes refresh_token_error_key refresh_token_error_values refresh_token_updater profile_assertion use_profile_assertion", ""},
    {"OffsetIncrement", "page_size inject_on_first_request", ""},
    {"PageIncrement", "page_size start_from_page inject_on_first_request", ""},
    {"PageSizeReduction", "reduction_factor minimum_page_size max_attempts backoff_seconds retries_at_minimum_page_size failure_message reset_policy", ""},
    {"PaginationReset", "action limits", "action"},
    {"PaginationResetLimits", "number_of_records", ""},
    {"ParametrizedComponentsResolver", "stream_parameters components_mapping", "stream_parameters components_mapping"},
    {"ParentFieldPath", "parent_path record_path", "parent_path record_path"},
    {"ParentStreamConfig", "stream parent_key partition_field request_option incremental_dependency lazy_read_pointer extra_fields", "parent_key partition_field stream"},
    {"PredicateValidator", "value validation_strategy", "value validation_strategy"},
    {"PropertiesFromEndpoint", "property_field_path retriever", "property_field_path retriever"},
    {"PropertyChunking", "property_limit_type property_limit record_merge_strategy", "property_limit_type"},
    {"QueryProperties", "property_list always_include_properties property_chunking property_selector", "property_list"},
    {"QuotaStatusSource", "url http_method request_headers unavailable_status_codes", "url"},
    {"RateLimitedMultipleTokenAuthenticator", "tokens token_delimiter auth_method header quota_status_source quotas max_wait_time budget_reserve_fraction budget_min_reserve", "tokens quota_status_source quotas"},
    {"RecordExpander", "expand_records_from_field remain_original_record parent_fields merge_parent on_no_records truncation_indicator_path truncated_list_retriever", "expand_records_from_field"},
    {"RecordFilter", "condition", ""},
    {"RecordSelector", "extractor record_filter schema_normalization transform_before_filtering", "extractor"},
    {"RemoveFields", "condition field_pointers", "field_pointers"},
    {"RequestBodyGraphQL", "value", "value"},
    {"RequestBodyJsonObject", "value", "value"},
    {"RequestBodyPlainText", "value", "value"},
    {"RequestBodyUrlEncodedForm", "value", "value"},
    {"RequestOption", "inject_into field_name field_path", "inject_into"},
    {"RequestPath", "", ""},
    {"RequestWindowSplitting", "failure_message min_split_window", ""},
    {"ResponseToFileExtractor", "preserve_na_values", ""},
    {"SchemaTypeIdentifier", "schema_pointer key_pointer type_pointer types_mapping", "key_pointer"},
    {"SelectiveAuthenticator", "authenticator_selection_path authenticators", "authenticators authenticator_selection_path"},
    {"SessionTokenAuthenticator", "login_requester session_token_path expiration_duration request_authentication decoder", "login_requester session_token_path request_authentication"},
    {"SimpleRetriever", "requester decoder record_selector paginator pagination_reset page_size_reduction request_window_splitting ignore_stream_slicer_parameters_on_paginated_requests partition_router", "record_selector requester"},
    {"Spec", "connection_specification documentation_url advanced_auth config_normalization_rules", "connection_specification"},
    {"StateDelegatingStream", "name full_refresh_stream incremental_stream api_retention_period", "name full_refresh_stream incremental_stream"},
    {"StreamConfig", "configs_pointer default_values", "configs_pointer"},
    {"StreamParametersDefinition", "list_of_parameters_for_stream", "list_of_parameters_for_stream"},
    {"SubstreamPartitionRouter", "parent_stream_configs", "parent_stream_configs"},
    {"TokenQuota", "name remaining_path reset_path limit_path matchers remaining_header reset_header limit_header exhaustion_status_codes", "name remaining_path reset_path"},
    {"UnionPartitionRouter", "partition_field partition_routers", "partition_field partition_routers"},
    {"UnlimitedCallRatePolicy", "matchers", "matchers"},
    {"ValidateAdheresToSchema", "base_schema", "base_schema"},
    {"WaitTimeFromHeader", "header regex max_waiting_time_in_seconds", "header"},
    {"WaitTimeFromResponse", "wait_time_in_seconds max_waiting_time_in_seconds", "wait_time_in_seconds"},
    {"WaitUntilTimeFromHeader", "header min_wait regex max_waiting_time_in_seconds", "header"},
    {"XmlDecoder", "", ""},
    {"ZipfileDecoder", "decoder", "decoder"},
};

static const struct {
    const char *place;
    const char *type;
} default_types[] = {
    {"AddFields.fields", "AddedFieldDefinition"},
    {"CompositeErrorHandler.error_handlers", "DefaultErrorHandler"},
    {"ConfigComponentsResolver.components_mapping", "ComponentMappingDefinition"},
    {"ConfigComponentsResolver.stream_config", "StreamConfig"},
    {"CursorPagination.decoder", "JsonDecoder"},
    {"DatetimeBasedCursor.end_datetime", "MinMaxDatetime"},
    {"DatetimeBasedCursor.end_time_option", "RequestOption"},
    {"DatetimeBasedCursor.start_datetime", "MinMaxDatetime"},
    {"DatetimeBasedCursor.start_time_option", "RequestOption"},
    {"DeclarativeSource.check", "CheckStream"},
    {"DeclarativeSource.spec", "Spec"},
    {"DeclarativeSource.streams", "DeclarativeStream"},
    {"DeclarativeStream.retriever", "SimpleRetriever"},
    {"DeclarativeStream.schema_loader", "JsonFileSchemaLoader"},
    {"DefaultErrorHandler.response_filters", "HttpResponseFilter"},
    {"DefaultPaginator.decoder", "JsonDecoder"},
    {"DefaultPaginator.page_size_option", "RequestOption"},
    {"DpathExtractor.decoder", "JsonDecoder"},
    {"DpathExtractor.record_expander", "RecordExpander"},
    {"DynamicDeclarativeStream.components_resolver", "ConfigComponentResolver"},
    {"DynamicDeclarativeStream.stream_template", "DeclarativeStream"},
    {"DynamicSchemaLoader.retriever", "SimpleRetriever"},
    {"HttpComponentsResolver.components_mapping", "ComponentMappingDefinition"},
    {"HttpComponentsResolver.retriever", "SimpleRetriever"},
    {"HttpRequester.error_handler", "DefaultErrorHandler"},
    {"ListPartitionRouter.request_option", "RequestOption"},
    {"ParentStreamConfig.request_option", "RequestOption"},
    {"ParentStreamConfig.stream", "DeclarativeStream"},
    {"RecordExpander.parent_fields", "ParentFieldPath"},
    {"RecordSelector.extractor", "DpathExtractor"},
    {"RecordSelector.record_filter", "RecordFilter"},
    {"SchemaTypeIdentifier.types_map", "TypesMap"},
    {"SimpleRetriever.paginator", "NoPagination"},
    {"SimpleRetriever.record_selector", "RecordSelector"},
    {"SimpleRetriever.requester", "HttpRequester"},
    {"SubstreamPartitionRouter.parent_stream_configs", "ParentStreamConfig"},
    {"CustomPartitionRouter.parent_stream_configs", "ParentStreamConfig"},
}, custom_types[] = {
    {"CompositeErrorHandler.backoff_strategies", "CustomBackoffStrategy"},
    {"DeclarativeStream.retriever", "CustomRetriever"},
    {"DeclarativeStream.transformations", "CustomTransformation"},
    {"DefaultErrorHandler.backoff_strategies", "CustomBackoffStrategy"},
    {"DefaultPaginator.pagination_strategy", "CustomPaginationStrategy"},
    {"HttpRequester.authenticator", "CustomAuthenticator"},
    {"HttpRequester.error_handler", "CustomErrorHandler"},
    {"RecordSelector.extractor", "CustomRecordExtractor"},
    {"SimpleRetriever.partition_router", "CustomPartitionRouter"},
};
// clang-format on

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

Str component_default_type(Str place, bool custom)
{
    if (custom) {
        for (size_t i = 0; i < COUNT(custom_types); i++) {
            if (str_equal(str_from(custom_types[i].place), place))
                return str_from(custom_types[i].type);
        }
        return (Str){NULL, 0};
    }
    for (size_t i = 0; i < COUNT(default_types); i++) {
        if (str_equal(str_from(default_types[i].place), place))
            return str_from(default_types[i].type);
    }
    return (Str){NULL, 0};
}

static const Component *find(Str type)
{
    for (size_t i = 0; i < COUNT(components); i++) {
        if (str_equal(str_from(components[i].type), type))
            return &components[i];
    }
    return NULL;
}

bool component_is_known(Str type)
{
    return find(type) != NULL;
}

Str component_nearest(Str type)
{
    Str names[COUNT(components)];
    for (size_t i = 0; i < COUNT(components); i++)
        names[i] = str_from(components[i].type);
    return findings_nearest(type, names, COUNT(components));
}

static size_t split_names(const char *text, Str names[FIELDS_MAX])
{
    size_t count = 0;
    Str rest = str_from(text);
    while (rest.data != NULL && count < FIELDS_MAX) {
        Str name = str_split_next(&rest, ' ');
        if (name.size > 0)
            names[count++] = name;
    }
    return count;
}

static bool contains(const Str *names, size_t count, Str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(names[i], name))
            return true;
    }
    return false;
}

// A definition that is referred to ten times is checked ten times, but reported once.
static bool is_reported(const Findings *findings, Str place, Str what)
{
    for (size_t i = 0; i < findings->count && i < FINDINGS_MAX; i++) {
        if (str_equal(findings->items[i].place, place) && str_equal(findings->items[i].what, what))
            return true;
    }
    return false;
}

static void check_field(const NodeMember *member, const Component *component, const Str *fields,
                        size_t count, Str file, Findings *findings)
{
    Str key = member->key;
    if (str_equal(key, STR("type")) || key.size == 0 || key.data[0] == '$' ||
        contains(fields, count, key))
        return;
    Str near = findings_nearest(key, fields, count);
    if (near.data == NULL)
        return;
    char fix[120], place[300], what[300];
    int fix_size = snprintf(fix, sizeof fix, "did you mean '" STR_FMT "'?", STR_ARG(near));
    int place_size = snprintf(place, sizeof place, STR_FMT ":%u", STR_ARG(str_slice(file, 0, 250)),
                              member->node->line);
    int what_size = snprintf(what, sizeof what, "%s has no field '" STR_FMT "'", component->type,
                             STR_ARG(str_slice(key, 0, 200)));
    Str at = {place, (size_t)place_size}, text = {what, (size_t)what_size};
    if (!is_reported(findings, at, text))
        findings_add(findings, at, text, (Str){fix, (size_t)fix_size});
}

void component_check(const Node *map, Str file, Findings *findings)
{
    const Component *component = find(node_type(map));
    // The specification is for forms; nothing of it is read here, and manifests in use have slips
    // there.
    if (component == NULL || str_starts_with(node_type(map), STR("Custom")) ||
        str_equal(node_type(map), STR("Spec")))
        return;
    Str fields[FIELDS_MAX];
    size_t count = split_names(component->fields, fields);
    for (size_t i = 0; i < map->count; i++)
        check_field(&map->members[i], component, fields, count, file, findings);
}
