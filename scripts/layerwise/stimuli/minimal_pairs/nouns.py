"""COCO's 80 categories as people name them in captions, and which of them they mix up.

Written by hand from COCO's captions; docs/method.md says how well it reads them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Noun:
    """How a category is named.

    Attributes:
        names: other nouns that surely mean an object of the category.
        hints: words that may mean one. An image whose captions have one is not taken to lack the category.
        countable: whether people agree on how many there are. Slices, bunches and shelves they count differently.
        described: whether an adjective before the noun describes the object alone: a "little girl" is not little,
            and an "orange" may be a colour.
        one: one of them in words, where an article and the name do not do.
    """

    names: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    countable: bool = True
    described: bool = True
    one: str = ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _noun(names: str = "", hints: str = "", **more: bool | str) -> Noun:
    return Noun(_words(names), _words(hints), **more)  # type: ignore[arg-type]


NOUNS: dict[str, Noun] = {
    "person": _noun(
        "man, woman, boy, girl, child, guy, lady, gentleman, baby, toddler, kid",
        "crowd, group, couple, family, player, rider, skier, snowboarder, surfer, skateboarder, skater, batter, "
        "pitcher, catcher, umpire, cyclist, biker, driver, officer, policeman, cop, soldier, worker, chef, cook, "
        "waiter, student, teacher, pedestrian, tourist, passenger, audience, team, bride, groom, someone, somebody, "
        "he, she, his, her, hand, arm, leg, finger, foot, feet, face, friend, human, adult, mother, father, mom, "
        "dad, son, daughter, brother, sister, male, female, youth, teen, teenager, spectator, athlete, jockey, "
        "farmer, businessman, performer, model, customer, employee, doctor, nurse, owner, shopper, hiker, swimmer, "
        "kitesurfer, wakeboarder, tennis, baseball, himself, herself, guest, folk, persons",
        described=False,
    ),
    "bicycle": _noun("", "bike, cyclist, biker, cycle, cycling, biking, tricycle"),
    "car": _noun(
        "sedan",
        "vehicle, van, taxi, cab, suv, jeep, automobile, auto, traffic, limo, hatchback, convertible, minivan, "
        "truck, parking lot, station wagon",
    ),
    "motorcycle": _noun("motorbike", "bike, biker, scooter, moped, cycle, harley, motor, motorcyclist"),
    "airplane": _noun(
        "plane, aeroplane, airliner",
        "jet, aircraft, jetliner, biplane, seaplane, glider, fighter, airline, flight",
    ),
    "bus": _noun(
        "double decker bus, double-decker bus",
        "vehicle, coach, trolley, tram, transit, minibus, double decker, van",
    ),
    "train": _noun("", "locomotive, engine, subway, tram, railcar, trolley, rail, railway, caboose, monorail, metro"),
    "truck": _noun(
        "pickup truck, fire truck, dump truck, tow truck, firetruck",
        "vehicle, pickup, van, lorry, semi, trailer, rig, suv, jeep, fire engine, tractor, tanker",
    ),
    "boat": _noun(
        "sailboat, rowboat, motorboat",
        "ship, canoe, kayak, ferry, yacht, vessel, barge, raft, gondola, dinghy, sail, tugboat, houseboat, "
        "speedboat, harbor, marina",
    ),
    "traffic light": _noun("traffic signal, stoplight, stop light", "signal, light, lights", countable=False),
    "fire hydrant": _noun("hydrant", "fireplug"),
    "stop sign": _noun("", "stop, sign"),
    "parking meter": _noun("", "meter"),
    "bench": _noun("park bench", "seat, pew"),
    "bird": _noun(
        "seagull, pigeon, parrot, duck, goose, owl, swan, eagle",
        "gull, flamingo, crow, hawk, ostrich, peacock, chicken, rooster, hen, pelican, heron, penguin, turkey, "
        "vulture, sparrow, cardinal, robin, hummingbird, parakeet, cockatoo, crane, stork, fowl, raven, egret, "
        "woodpecker, finch, emu, toucan, falcon, duckling, flock, puffin, bluebird, animal",
    ),
    "cat": _noun("kitten, kitty", "feline, kitties, tabby, animal, pet"),
    "dog": _noun(
        "puppy",
        "pup, doggy, doggie, poodle, terrier, retriever, labrador, dalmatian, bulldog, beagle, collie, corgi, "
        "chihuahua, husky, pug, hound, dachshund, shepherd, canine, animal, pet, spaniel, mutt, lab, dogs",
    ),
    "horse": _noun(
        "pony",
        "colt, foal, mare, stallion, equestrian, jockey, horseback, carriage, animal, rider, donkey, mule",
    ),
    "sheep": _noun("", "lamb, ram, ewe, flock, herd, animal, goat, livestock"),
    "cow": _noun("", "bull, calf, cattle, steer, ox, oxen, bovine, herd, animal, livestock, buffalo, heifer, bison"),
    "elephant": _noun("", "animal, calf, herd"),
    "bear": _noun("", "polar, grizzly, panda, cub, animal"),
    "zebra": _noun("", "animal, herd"),
    "giraffe": _noun("", "animal, herd"),
    "backpack": _noun("back pack", "bag, pack, rucksack, luggage, knapsack, satchel, backpacker"),
    "umbrella": _noun("parasol", "canopy, shade"),
    "handbag": _noun("purse", "bag, tote, clutch, luggage, satchel"),
    "tie": _noun("necktie", "bow, bowtie, suit, tuxedo"),
    "suitcase": _noun("", "luggage, bag, baggage, trunk, case, briefcase"),
    "frisbee": _noun("", "disc, disk, frizbee"),
    "skis": _noun("", "ski, skier, skiing, skiers, slope", countable=False, described=False, one="a pair of skis"),
    "snowboard": _noun("", "snowboarder, snowboarding, board, boarder, ski, slope"),
    "sports ball": _noun(
        "",
        "ball, soccer, tennis, baseball, basketball, football, volleyball, softball, golf, bowling, rugby",
    ),
    "kite": _noun("", "parachute, parasail, windsail, kitesurfer, kiteboarder, para"),
    "baseball bat": _noun("", "bat, batter, batting, baseball, hitter, swing, swinging"),
    "baseball glove": _noun("", "glove, mitt, catcher, baseball, pitcher, umpire, fielder"),
    "skateboard": _noun("skate board", "board, skateboarder, skateboarding, skater, skating, longboard, skate"),
    "surfboard": _noun("surf board", "board, surfer, surfing, surf, surfers, wave, boogie, paddle"),
    "tennis racket": _noun("tennis racquet", "racket, racquet, tennis, raquet, racquets, paddle, badminton"),
    "bottle": _noun(
        "wine bottle, water bottle, beer bottle",
        "wine, beer, soda, condiment, ketchup, drink, drinks, beverage, shampoo, soap, lotion, alcohol, sauce",
    ),
    "wine glass": _noun("wineglass, glass of wine", "glass, wine, goblet, drink, drinks, beverage, champagne, beer"),
    "cup": _noun(
        "mug, coffee cup, coffee mug",
        "coffee, tea, glass, drink, drinks, beverage, latte, cappuccino, tumbler, soda, saucer, juice, cocoa, milk",
    ),
    "fork": _noun("", "utensil, silverware, cutlery, flatware"),
    "knife": _noun("", "utensil, silverware, cutlery, flatware, blade, cutting, cut, slicing"),
    "spoon": _noun("", "utensil, silverware, cutlery, flatware, ladle, spatula"),
    "bowl": _noun("", "dish, container, soup, cereal, salad, basin, pot, basket"),
    "banana": _noun("", "fruit, plantain, bunch", countable=False),
    "apple": _noun("", "fruit, produce", countable=False),
    "sandwich": _noun(
        "",
        "burger, hamburger, cheeseburger, sub, hoagie, panini, wrap, toast, bun, bagel, hot dog, blt, lunch, meal",
        countable=False,
    ),
    "orange": _noun("", "fruit, tangerine, citrus, clementine, mandarin, produce", countable=False, described=False),
    "broccoli": _noun(
        "",
        "vegetable, veggie, veggies, brocolli, broccolli, salad, greens, stir, produce, meal",
        countable=False,
        described=False,
        one="some broccoli",
    ),
    "carrot": _noun("", "vegetable, veggie, veggies, salad, stew, stir, produce, meal", countable=False),
    "hot dog": _noun("hotdog", "sausage, frank, bratwurst, weiner, wiener, bun, dog, chili dog", described=False),
    "pizza": _noun("", "pie, slice, pepperoni, crust, calzone, flatbread, meal", countable=False, described=False),
    "donut": _noun("doughnut", "pastry, pastries, dessert, bagel, munchkin, cruller, sweets", countable=False),
    "cake": _noun(
        "",
        "cupcake, dessert, pastry, cheesecake, frosting, wedding, birthday, pie, brownie, muffin, sweets",
        countable=False,
    ),
    "chair": _noun(
        "",
        "seat, stool, recliner, armchair, rocker, bench, couch, sofa, lounge, furniture, wheelchair, seating, desk, "
        "living room, dining room",
    ),
    "couch": _noun("sofa", "loveseat, futon, sectional, settee, seat, lounge, furniture, cushion, living room"),
    "potted plant": _noun("", "plant, flower, vase, tree, pot, potted, shrub, fern, cactus, houseplant, planter"),
    "bed": _noun("", "mattress, bunk, cot, hotel, bedroom, crib, futon, sleeping, pillow, pillows, blanket, bedding"),
    "dining table": _noun(
        "",
        "table, desk, counter, dining, buffet, placemat, tabletop, tablecloth, picnic, meal, plate",
    ),
    "toilet": _noun("", "commode, urinal, bathroom, restroom, bidet, lavatory, stall, latrine, seat, washroom"),
    "tv": _noun(
        "television, tv set, television set",
        "screen, monitor, flatscreen, flat, computer, display, wii, game, living room, movie",
    ),
    "laptop": _noun("laptop computer", "computer, notebook, macbook, pc, netbook, keyboard, screen, desk, computers"),
    "mouse": _noun("computer mouse", "mice, computer, desktop, desk", described=False),
    "remote": _noun("remote control", "controller, wii, control, wiimote, nintendo, game"),
    "keyboard": _noun("computer keyboard", "computer, laptop, desktop, desk, piano, keys, typing, notebook"),
    "cell phone": _noun(
        "cellphone, mobile phone, smartphone, smart phone, cell",
        "phone, iphone, mobile, blackberry, telephone, device, texting, camera, selfie, call",
    ),
    "microwave": _noun("microwave oven", "oven, appliance, kitchen"),
    "oven": _noun("", "stove, range, stovetop, appliance, kitchen, burner, microwave"),
    "toaster": _noun("", "oven, appliance, toast"),
    "sink": _noun("", "bathroom, kitchen, faucet, basin, restroom, washroom, tap, lavatory, vanity"),
    "refrigerator": _noun("fridge", "freezer, kitchen, appliance, icebox"),
    "book": _noun(
        "",
        "bookshelf, bookcase, library, magazine, novel, textbook, reading, notebook, shelf, shelves, desk",
        countable=False,
    ),
    "clock": _noun("", "tower, watch, time, steeple, clocktower"),
    "vase": _noun("", "jar, pot, pitcher, urn, flower, flowers, bouquet, glass, planter"),
    "scissors": _noun(
        "pair of scissors",
        "scissor, shears, clippers",
        countable=False,
        described=False,
        one="a pair of scissors",
    ),
    "teddy bear": _noun("", "bear, stuffed, plush, toy, doll, teddy, animal"),
    "hair drier": _noun("hair dryer, hairdryer, blow dryer", "dryer, drier, blow"),
    "toothbrush": _noun("tooth brush", "brush, brushing, toothpaste, toothbrushes, teeth"),
}
# Categories of which one object may be called by several names, by people and by the authors of annotations.
MIXED_UP = (
    ("car", "truck", "bus"),
    ("train", "bus"),
    ("chair", "bench", "couch"),
    ("couch", "bed"),
    ("bicycle", "motorcycle"),
    ("handbag", "backpack", "suitcase"),
    ("cup", "bowl", "wine glass", "vase"),
    ("bottle", "vase", "wine glass"),
    ("potted plant", "vase"),
    ("laptop", "keyboard", "tv"),
    ("cell phone", "remote"),
    ("hot dog", "sandwich"),
    ("donut", "cake"),
    ("bear", "teddy bear"),
    ("dog", "hot dog"),
    ("oven", "microwave", "toaster"),
    ("apple", "orange"),
    ("skis", "snowboard", "surfboard", "skateboard"),
    ("fork", "knife", "spoon"),
    ("sheep", "cow"),
    ("boat", "surfboard"),
)


def mixed_up(categories: Iterable[str]) -> set[tuple[str, str]]:
    """Ordered pairs of the categories that are mixed up, and every category with itself."""
    known = set(categories)
    pairs = {(first, second) for group in MIXED_UP for first, second in combinations(group, 2)}
    return {(name, name) for name in known} | {
        way for pair in pairs if known.issuperset(pair) for way in (pair, pair[::-1])
    }
