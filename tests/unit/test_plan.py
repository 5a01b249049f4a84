"""What follows from the difference between two states of a project."""

from keepfit.spec.content import Content, Contents, flat
from keepfit.steps.plan import plan


def state(*contents: Content) -> Contents:
    return {each.label: each for each in contents}


def view(name: str = "habits", uses: tuple[str, ...] = (), **properties: str) -> Content:
    return Content("feature view", name, {"online": "True", **properties}, uses)


MODEL = Content("model", "churn", {"features": "all"}, ("feature service all",))
SERVICE = Content("feature service", "all", {"features": "habits"}, ("feature view habits",))


def test_a_changed_key_materialises_the_views_it_names_and_trains_the_models_above() -> None:
    def before(key: str) -> Contents:
        entity = Content("entity", "buyer", {"joinKey": key})
        return state(entity, view(uses=("entity buyer",)), view("other"), SERVICE, MODEL)

    made = plan(before("customer"), before("client"))
    assert [str(change) for change in made.changes] == ["~ entity buyer: joinKey customer -> client"]
    assert made.views == ("habits",)
    assert made.retrain == {"churn": ("entity buyer changed",)}


def test_a_dataset_behind_a_view_touches_the_model_and_trains_nothing() -> None:
    def before(sql: str) -> Contents:
        source = Content("source", "visits", {}, ("dataset visits",))
        dataset = Content("dataset", "visits", {"transform text": sql})
        return state(dataset, source, view(uses=("source visits",)), SERVICE, MODEL)

    made = plan(before("1"), before("2"))
    assert made.touched == {"churn": ("dataset visits changed",)}
    assert (made.views, made.retrain, made.refresh) == ((), {}, ("visits",))


def test_what_is_computed_from_an_edited_dataset_is_refreshed_after_it() -> None:
    def before(sql: str) -> Contents:
        return state(
            Content("dataset", "totals", {}, ("dataset daily",)),
            Content("dataset", "daily", {}, ("dataset visits",)),
            Content("dataset", "visits", {"transform text": sql}),
            Content("dataset", "alone", {}),
        )

    assert plan(before("1"), before("2")).refresh == ("visits", "daily", "totals")


def test_a_view_that_is_not_served_online_is_not_materialised() -> None:
    made = plan(state(view(online="False", ttl="1s")), state(view(online="False", ttl="2s")))
    assert made.views == ()


def test_another_online_store_is_filled_with_every_view() -> None:
    def before(kind: str) -> Contents:
        return state(Content("online store", "feature_store.yaml", {"type": kind}), view(), view("other"))

    made = plan(before("sqlite"), before("redis"))
    assert made.views == ("habits", "other")


def test_what_a_model_is_judged_by_asks_for_no_training() -> None:
    def before(metric: str) -> Contents:
        properties = {"evaluate.objective": metric, "train.calendar": metric, "train.timeout": metric}
        return state(Content("model", "churn", properties))

    made = plan(before("auc"), before("log_loss"))
    assert made.touched == {"churn": ("model churn changed",)}
    assert made.retrain == {}


def test_a_removed_view_asks_its_models_for_a_training() -> None:
    made = plan(state(view(), SERVICE, MODEL), state(SERVICE, MODEL))
    assert [change.label for change in made.removed] == ["feature view habits"]
    assert made.retrain == {"churn": ("feature view habits removed",)}


def test_a_new_view_asks_for_a_training_where_a_service_takes_it_up() -> None:
    more = Content(
        "feature service", "all", {"features": "habits, other"}, (*SERVICE.uses, "feature view other")
    )
    made = plan(state(view(), SERVICE, MODEL), state(view(), view("other"), more, MODEL))
    assert made.views == ("other",)
    assert made.retrain == {"churn": ("feature service all changed",)}
    assert plan(state(), state(view(), SERVICE, MODEL)).retrain == {}


def test_things_in_a_list_are_told_apart_by_name_so_that_their_order_is_no_change() -> None:
    fields = [{"name": "a", "type": "int"}, {"name": "b", "type": "text"}]
    assert flat({"fields": fields}) == flat({"fields": fields[::-1]})
    assert flat({"fields": fields})["fields.b.type"] == "text"
