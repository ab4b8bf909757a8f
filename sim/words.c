#include "words.h"

#include "pen.h"

// One string a list, parts separated by '|': easier to read and to lengthen than a table.
static const char first_names[] =
    "Aaliyah|Aaron|Abigail|Adam|Adrian|Aisha|Alan|Albert|Alejandra|Alex|Alice|Alicia|Amanda|Amber|"
    "Amy|Ana|Andrea|"
    "Andrew|Angela|Ann|Anthony|Antonio|Arthur|Ashley|Austin|Barbara|Benjamin|Beth|Betty|Beverly|"
    "Bobby|Bradley|"
    "Brandon|Brenda|Brian|Brittany|Bruce|Bryan|Camila|Carl|Carlos|Carol|Carolyn|Catherine|Charles|"
    "Charlotte|Cheryl|"
    "Christian|Christina|Christopher|Cynthia|Daniel|Danielle|David|Deborah|Denise|Dennis|Diana|"
    "Diego|Donald|Donna|"
    "Dorothy|Douglas|Dylan|Edward|Elena|Elijah|Elizabeth|Emily|Emma|Eric|Ethan|Eugene|Eva|Evelyn|"
    "Fatima|Frances|"
    "Frank|Gabriel|Gary|George|Gerald|Gloria|Grace|Gregory|Hannah|Harold|Heather|Helen|Henry|"
    "Hiroshi|Ian|Imani|"
    "Isabella|Jack|Jacob|Jacqueline|James|Janet|Janice|Jason|Jean|Jeffrey|Jennifer|Jeremy|Jerry|"
    "Jesse|Jessica|Joan|"
    "Joe|John|Jonathan|Jordan|Jorge|Jose|Joseph|Joshua|Joyce|Juan|Judith|Judy|Julia|Julie|Justin|"
    "Karen|Katherine|"
    "Kathleen|Kayla|Keith|Kelly|Kenneth|Kevin|Kimberly|Kwame|Kyle|Larry|Laura|Lauren|Lawrence|"
    "Linda|Lisa|Logan|Louis|"
    "Lucia|Luis|Madison|Mar\xc3\xad"
    "a|Margaret|Marie|Marilyn|Mark|Martha|Mary|Matthew|Megan|Mei|Melissa|Michael|"
    "Michelle|Miguel|Mohammed|Nancy|Natalie|Nathan|Nicholas|Nicole|Noah|Olivia|Pamela|Patricia|"
    "Patrick|Paul|Peter|"
    "Philip|Priya|Rachel|Ralph|Randy|Raymond|Rebecca|Ren\xc3\xa9"
    "e|Richard|Robert|Roger|Ronald|Rose|Roy|Russell|Ruth|"
    "Ryan|Samantha|Samuel|Sandra|Sara|Scott|Sean|Sharon|Shirley|Sof\xc3\xad"
    "a|Sophia|Stephanie|Stephen|Steven|Susan|"
    "Teresa|Terry|Theresa|Thomas|Timothy|Tyler|Victoria|Vincent|Virginia|Walter|Wayne|William|"
    "Willie|Yuki|Zachary";
static const char last_names[] = "Adams|Aguilar|Ahmed|Alexander|Allen|Alvarez|Anderson|Andrews|"
                                 "Armstrong|Arnold|Bailey|Baker|Banks|Barnes|"
                                 "Bell|Bennett|Bianchi|Bishop|Black|Boyd|Bradley|Brooks|Brown|"
                                 "Bryant|Burke|Burns|Butler|Campbell|Carpenter|Carroll|"
                                 "Carter|Castillo|Castro|Chapman|Chavez|Chen|Clark|Cole|Coleman|"
                                 "Collins|Cook|Cooper|Cox|Crawford|Cruz|Cunningham|"
                                 "Daniels|Davis|Diaz|Dixon|Duncan|Dunn|Edwards|Elliott|Ellis|Evans|"
                                 "Ferguson|Fernandez|Fisher|Flores|Ford|Foster|"
                                 "Fox|Franklin|Freeman|Garcia|Gardner|Garza|Gibson|Gomez|"
                                 "Gonz\xc3\xa1lez|Gordon|Graham|Grant|Gray|Green|Griffin|"
                                 "Gupta|Gutierrez|Guzman|Hall|Hamilton|Hansen|Harper|Harris|"
                                 "Harrison|Hart|Harvey|Hayes|Henderson|Henry|Hernandez|"
                                 "Herrera|Hicks|Hill|Hoffman|Holmes|Howard|Hudson|Hughes|Hunt|"
                                 "Hunter|Ibrahim|Jackson|Jacobs|James|Jenkins|Jensen|"
                                 "Jim\xc3\xa9nez|Johnson|Johnston|Jones|Jordan|Kelley|Kelly|"
                                 "Kennedy|Khan|Kim|King|Knight|Kowalski|Kumar|Lane|Larson|"
                                 "Lawrence|Lawson|Lee|Lewis|Li|Little|Long|Lopez|Lynch|Marshall|"
                                 "Martin|Martinez|Mason|Matthews|McDonald|Medina|"
                                 "Mendez|Mendoza|Meyer|Miller|Mills|Mitchell|Montgomery|Moore|"
                                 "Morales|Moreno|Morgan|Morris|M\xc3\xbcller|Murphy|"
                                 "Murray|Myers|Nakamura|Nelson|Nguyen|Nichols|O'Brien|O'Connor|"
                                 "Okafor|Oliver|Olson|Ortiz|Owens|Palmer|Parker|Patel|"
                                 "Patterson|Payne|Perez|Perkins|Perry|Peters|Peterson|Phillips|"
                                 "Pierce|Porter|Powell|Price|Ramirez|Ramos|Ray|Reed|"
                                 "Reid|Reyes|Reynolds|Rice|Richards|Richardson|Riley|Rivera|"
                                 "Roberts|Robertson|Robinson|Rodriguez|Rogers|Romero|"
                                 "Rose|Ross|Rossi|Ruiz|Russell|Ryan|Sanchez|Sanders|Santos|Schmidt|"
                                 "Schneider|Scott|Shaw|Silva|Simmons|Simpson|"
                                 "Singh|Smith|Snyder|Soto|Spencer|Stephens|Stevens|Stewart|Stone|"
                                 "Sullivan|Tanaka|Taylor|Thomas|Thompson|Torres|"
                                 "Tran|Tucker|Turner|Vargas|Vasquez|Wagner|Walker|Wallace|Ward|"
                                 "Warren|Washington|Watkins|Watson|Weaver|Webb|Weber|"
                                 "Welch|Wells|West|Wheeler|White|Williams|Williamson|Willis|Wilson|"
                                 "Wong|Wood|Wright|Yang|Young|Zhang|Zimmerman";
static const char streets[] = "Maple Ave|Oak Street|Main St|2nd Street|Cedar Ln|Elm "
                              "Street|Washington Blvd|Lake Dr|Hill Road|Sunset Blvd|"
                              "Park Avenue|Pine St|River Road|Church St|Highland Ave|Mill "
                              "Road|Jefferson St|Franklin Ave|Meadow Ln|Forest Dr|"
                              "Spring St|Ridge Road|Willow Way|Union St|Prospect Ave|Walnut "
                              "St|Chestnut St|Adams St|Lincoln Ave|Dogwood Ct|"
                              "Center St|Broadway|King Street|Queen St|Victoria Road|Station "
                              "Road|High Street|George St|Albert Ave|Market St";
static const char companies[] = "Northgate Plumbing|Bright Smile Dental|Summit Roofing|Harbor "
                                "Legal Group|Cascade Heating & Air|Lakeview Auto|"
                                "Evergreen Landscaping|Metro Home Care|Blue Ridge Solar|Coastal "
                                "Pest Control|Pinnacle Mortgage|Redwood Storage";
static const char mail_hosts[] = "gmail.com|yahoo.com|hotmail.com|outlook.com|icloud.com|aol.com|"
                                 "comcast.net|verizon.net|proton.me|example.org";
static const char keywords[] = "emergency plumber|plumber near me|water heater repair|drain "
                               "cleaning|dentist open saturday|teeth whitening cost|"
                               "root canal specialist|roof leak repair|roofing contractor|storm "
                               "damage roof|personal injury lawyer|car accident attorney|"
                               "divorce lawyer free consultation|hvac service|ac not "
                               "cooling|furnace repair 24/7|brake pads price|oil change coupon|"
                               "lawn care service|tree removal|home health aide|senior care|solar "
                               "panel installation|solar tax credit|termite inspection|"
                               "bed bug treatment|mortgage rates today|refinance "
                               "calculator|storage units cheap|climate controlled storage|"
                               "garage door repair|locksmith|kitchen remodel|bathroom remodel "
                               "cost|window replacement|gutter cleaning|moving company|"
                               "pet friendly dentist|invisalign vs braces|tankless water "
                               "heater|sewer line replacement|slip and fall lawyer|"
                               "estate planning attorney|transmission repair|mobile "
                               "mechanic|sprinkler repair|caregiver jobs|battery backup|"
                               "mosquito control|first time home buyer";
static const char paths[] =
    "/|/contact|/services|/services/emergency|/about|/book-online|/pricing|/locations|/locations/"
    "north|/locations/south|"
    "/reviews|/blog/how-to-choose|/blog/cost-guide|/specials|/financing|/careers|/faq|/services/"
    "installation|"
    "/services/repair|/landing/spring-sale|/landing/free-estimate|/lp/a|/lp/b|/thank-you|/quote";
static const char referrers[] = "https://www.google.com/|https://www.bing.com/|https://"
                                "duckduckgo.com/|https://www.facebook.com/|"
                                "https://l.instagram.com/|https://www.yelp.com/search|https://"
                                "search.yahoo.com/|https://m.facebook.com/|"
                                "https://www.youtube.com/|https://nextdoor.com/";
static const char sentences[] =
    "Thanks for calling, how can I help you today?|Hi, I saw your ad online and wanted to ask "
    "about pricing.|"
    "Let me pull up your account, one moment please.|Could you spell your last name for me?|"
    "We have an opening tomorrow morning between eight and ten.|That works for me, can you text me "
    "a confirmation?|"
    "There is a service fee of eighty nine dollars, waived with any repair.|Is that address still "
    "correct?|"
    "My water heater started leaking last night.|I would rather speak with a manager, please.|"
    "I completely understand, let me see what I can do.|Do you take this insurance?|We do, and we "
    "can bill it directly.|"
    "What is the best number to reach you?|It is the one I am calling from.|Please hold while I "
    "transfer you.|"
    "The technician will call you thirty minutes before arrival.|I already talked to someone about "
    "this on Monday.|"
    "I see the notes here, it was rescheduled because of the weather.|Can I get an estimate by "
    "email?|"
    "Sure, I will send it right away.|Is there anything else I can help you with?|No, that is all, "
    "thank you.|"
    "Have a wonderful day.|Do you offer financing?|Yes, twelve months without interest on approved "
    "credit.|"
    "How long does the warranty last?|It covers parts for ten years and labor for two.|"
    "I need somebody today, the ceiling is dripping.|We can have a crew there within two hours.|"
    "I was in an accident last week and have a few questions.|An attorney will call you back this "
    "afternoon.|"
    "Your hold music is terrible, by the way.|We hear that a lot, sorry about that.|"
    "I found a cheaper quote, can you match it?|If you forward it to us we will do our best.|"
    "Is this a good time for a quick survey?|I am driving, can you call me back later?|"
    "The card ends in four two four two.|The confirmation is on its way.";
static const char notes[] = "Asked for a callback after five|Wants a written estimate|Price "
                            "shopper, has two other quotes|Repeat customer|"
                            "Left voicemail, no reply yet|Booked for next week|Spoke with spouse, "
                            "decision maker is away|Wrong department, transferred|"
                            "Complaint about billing, resolved|Referred by a neighbor|Needs "
                            "financing information|Do not call before noon|"
                            "Gate code \\u2318 1234, dog in the yard|Insurance claim, adjuster "
                            "visits Friday|VIP account|Out of service area";
static const char tags[] = "booked|new-lead|existing-customer|price|callback|voicemail|spam?|"
                           "qualified|unqualified|emergency|warranty|"
                           "billing|complaint|hiring|vendor|spanish|insurance|estimate|no-show|"
                           "upsell|referral|after-hours|web-form|priority";
static const char campaigns[] = "Brand - Exact|Brand - Broad|Emergency 24/7|Spring Sale "
                                "2025|Summer Tune-Up|Fall Check|Winter Prep|Competitor Terms|"
                                "Non-Brand - North|Non-Brand - South|Remarketing 30d|Performance "
                                "Max|Local Services|Display - Prospecting|"
                                "YouTube Bumpers|Facebook Lookalike 1%|Instagram Stories|Bing "
                                "Mirror|Direct Mail May|Radio WXYZ|Billboard I-95|"
                                "Yelp Ads|Nextdoor Test|Email Winback|Partner Referral|Trade "
                                "Show|Free Estimate LP|Financing Offer|Senior Discount|"
                                "Holiday Hours";
static const char sources[] = "Google Ads|Google Organic|Bing Ads|Bing Organic|Facebook "
                              "Paid|Yelp|Direct|Google My Business|Nextdoor|Direct Mail|"
                              "Email|Referral";
static const char mediums[] =
    "cpc|organic|cpc|organic|paid_social|referral|none|organic|paid_social|offline|email|referral";
static const char departments[] =
    "Sales|Support|Scheduling|Billing|Front Desk|After Hours|Dispatch|Spanish Line";
static const char menus[] =
    "Main Menu|Business Hours|Sales Queue|Support Queue|Voicemail|Geo Router|Overflow Queue";

// city, state, country, area code, post code, latitude, longitude
typedef struct PlaceRow {
    Region region;
    const char *city, *state;
    uint32_t area_code, post_code;
    int32_t latitude, longitude;
} PlaceRow;

// clang-format off
static const PlaceRow place_rows[] = {
    {REGION_US, "New York", "NY", 212, 10001, 407128, -740060},
    {REGION_US, "Brooklyn", "NY", 718, 11201, 406782, -739442},
    {REGION_US, "Buffalo", "NY", 716, 14201, 428864, -788784},
    {REGION_US, "Los Angeles", "CA", 213, 90001, 340522, -1182437},
    {REGION_US, "San Diego", "CA", 619, 92101, 327157, -1171611},
    {REGION_US, "San Jose", "CA", 408, 95101, 373382, -1218863},
    {REGION_US, "Fresno", "CA", 559, 93650, 367378, -1197871},
    {REGION_US, "Chicago", "IL", 312, 60601, 418781, -876298},
    {REGION_US, "Naperville", "IL", 630, 60540, 417508, -881535},
    {REGION_US, "Houston", "TX", 713, 77001, 297604, -953698},
    {REGION_US, "Dallas", "TX", 214, 75201, 327767, -967970},
    {REGION_US, "Austin", "TX", 512, 73301, 302672, -977431},
    {REGION_US, "San Antonio", "TX", 210, 78201, 294241, -984936},
    {REGION_US, "Phoenix", "AZ", 602, 85001, 334484, -1120740},
    {REGION_US, "Tucson", "AZ", 520, 85701, 322226, -1109747},
    {REGION_US, "Philadelphia", "PA", 215, 19019, 399526, -751652},
    {REGION_US, "Pittsburgh", "PA", 412, 15201, 404406, -799959},
    {REGION_US, "Jacksonville", "FL", 904, 32099, 303322, -816557},
    {REGION_US, "Miami", "FL", 305, 33101, 257617, -801918},
    {REGION_US, "Tampa", "FL", 813, 33601, 279506, -824572},
    {REGION_US, "Columbus", "OH", 614, 43085, 399612, -829988},
    {REGION_US, "Cleveland", "OH", 216, 44101, 414993, -816944},
    {REGION_US, "Charlotte", "NC", 704, 28201, 352271, -808431},
    {REGION_US, "Raleigh", "NC", 919, 27601, 357796, -786382},
    {REGION_US, "Seattle", "WA", 206, 98101, 476062, -1223321},
    {REGION_US, "Spokane", "WA", 509, 99201, 476588, -1174260},
    {REGION_US, "Denver", "CO", 303, 80201, 397392, -1049903},
    {REGION_US, "Boulder", "CO", 720, 80301, 400150, -1052705},
    {REGION_US, "Boston", "MA", 617, 2108, 423601, -710589},
    {REGION_US, "Worcester", "MA", 508, 1601, 422626, -718023},
    {REGION_US, "Baltimore", "MD", 410, 21201, 392904, -766122},
    {REGION_US, "Nashville", "TN", 615, 37201, 361627, -867816},
    {REGION_US, "Memphis", "TN", 901, 37501, 351495, -900490},
    {REGION_US, "Detroit", "MI", 313, 48201, 423314, -830458},
    {REGION_US, "Portland", "OR", 503, 97201, 455152, -1226784},
    {REGION_US, "Las Vegas", "NV", 702, 89101, 361699, -1151398},
    {REGION_US, "Atlanta", "GA", 404, 30301, 337490, -843880},
    {REGION_US, "Savannah", "GA", 912, 31401, 320809, -810912},
    {REGION_US, "Minneapolis", "MN", 612, 55401, 449778, -932650},
    {REGION_US, "New Orleans", "LA", 504, 70112, 299511, -900715},
    {REGION_GB, "London", "England", 207, 10001, 515072, -1276},
    {REGION_GB, "Leeds", "England", 113, 20001, 538008, -15491},
    {REGION_GB, "Bristol", "England", 117, 30001, 514545, -25879},
    {REGION_GB, "Glasgow", "Scotland", 141, 40001, 558642, -42518},
    {REGION_GB, "Cardiff", "Wales", 292, 50001, 514816, -31791},
    {REGION_AU, "Sydney", "NSW", 290, 2000, -338688, 1512093},
    {REGION_AU, "Melbourne", "VIC", 390, 3000, -378136, 1449631},
    {REGION_AU, "Brisbane", "QLD", 730, 4000, -274705, 1530260},
    {REGION_AU, "Perth", "WA", 860, 6000, -319523, 1158613},
    {REGION_IN, "Mumbai", "MH", 222, 40001, 190760, 728777},
    {REGION_IN, "Bengaluru", "KA", 802, 56001, 129716, 775946},
    {REGION_IN, "Kolkata", "WB", 332, 70001, 225726, 883639},
};
// clang-format on
static const char *const countries[REGION_COUNT] = {"US", "GB", "AU", "IN"};

bool words_pad(Arena *arena, Str text, Str *ret_padded, Error *err)
{
    char *copy = arena_alloc(arena, text.size + PEN_BLOCK_BYTES, err);
    TRY(copy != NULL);
    memcpy(copy, text.data, text.size);
    *ret_padded = (Str){copy, text.size};
    return true;
}

static bool split(const char *parts, Arena *arena, WordList *list, Error *err)
{
    Str rest = str_from(parts);
    uint32_t count = 1;
    for (size_t i = 0; i < rest.size; i++)
        count += rest.data[i] == '|';

    Str *items = arena_alloc_array(arena, count, sizeof(*items), err);
    TRY(items != NULL);
    for (uint32_t i = 0; i < count; i++)
        TRY(words_pad(arena, str_split_next(&rest, '|'), &items[i], err));
    *list = (WordList){items, count};
    return true;
}

// Lower-case letters and digits stay; blanks become `blank` (0 = they go, like all the rest).
static bool derive(const WordList *from, char blank, Arena *arena, WordList *list, Error *err)
{
    Str *items = arena_alloc_array(arena, from->count, sizeof(*items), err);
    TRY(items != NULL);
    for (uint32_t i = 0; i < from->count; i++) {
        char text[64];
        size_t size = 0;
        for (size_t k = 0; k < from->items[i].size && size < sizeof(text); k++) {
            const char c = from->items[i].data[k];
            if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
                text[size++] = c;
            else if (c >= 'A' && c <= 'Z')
                text[size++] = (char)(c - 'A' + 'a');
            else if (c == ' ' && blank != 0)
                text[size++] = blank;
        }
        TRY(words_pad(arena, (Str){text, size}, &items[i], err));
    }
    *list = (WordList){items, from->count};
    return true;
}

static bool fill_places(Words *words, Arena *arena, Error *err)
{
    const size_t row_count = sizeof(place_rows) / sizeof(place_rows[0]);
    for (int region = 0; region < REGION_COUNT; region++) {
        words->places[region] = arena_alloc_array(arena, row_count, sizeof(Place), err);
        TRY(words->places[region] != NULL);
    }
    for (size_t i = 0; i < row_count; i++) {
        const PlaceRow *row = &place_rows[i];
        Place *place = &words->places[row->region][words->place_count[row->region]++];
        *place = (Place){.area_code = row->area_code,
                         .post_code = row->post_code,
                         .latitude = row->latitude,
                         .longitude = row->longitude};
        TRY(words_pad(arena, str_from(row->city), &place->city, err));
        TRY(words_pad(arena, str_from(row->state), &place->state, err));
        TRY(words_pad(arena, str_from(countries[row->region]), &place->country, err));
    }
    return true;
}

bool words_init(Words *words, Arena *arena, Error *err)
{
    *words = (Words){0};
    const struct {
        const char *parts;
        WordList *list;
    } lists[] = {
        {first_names, &words->first_names},
        {last_names, &words->last_names},
        {streets, &words->streets},
        {companies, &words->companies},
        {mail_hosts, &words->mail_hosts},
        {keywords, &words->keywords},
        {paths, &words->paths},
        {referrers, &words->referrers},
        {sentences, &words->sentences},
        {notes, &words->notes},
        {tags, &words->tags},
        {campaigns, &words->campaigns},
        {sources, &words->sources},
        {mediums, &words->mediums},
        {departments, &words->departments},
        {menus, &words->menus},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        TRY(split(lists[i].parts, arena, lists[i].list, err));
    TRY(derive(&words->keywords, '+', arena, &words->search_words, err));
    TRY(derive(&words->last_names, 0, arena, &words->mail_names, err));
    return fill_places(words, arena, err);
}
