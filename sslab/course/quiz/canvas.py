"""A QTI 1.2 package as Canvas reads and writes it: a zip with a manifest and, for each lesson, a practice quiz.

We write it ourselves since the library for it, text2qti, makes one graded quiz with one attempt a package; a test
compares our items with its own, element by element.
"""

import hashlib
import html
import io
import urllib.parse
import xml.etree.ElementTree as tree
import zipfile
from collections.abc import Sequence

from sslab.course.quiz import markup
from sslab.course.quiz.bank import Bank, Question

MANIFEST = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
CANVAS = "http://canvas.instructure.com/xsd/cccv1p0"
META = "associatedcontent/imscc_xmlv1p1/learning-application-resource"
RESPONSE = "response1"


def write(banks: Sequence[Bank]) -> bytes:
    """The package for Settings > Import Course Content > QTI .zip file. The same banks give the same bytes."""
    files = {"imsmanifest.xml": _manifest(banks)}
    for bank in banks:
        identity = _identity(bank.number)
        files[f"{identity}/{identity}.xml"] = _assessment(bank)
        files[f"{identity}/assessment_meta.xml"] = _settings(bank)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, root in files.items():
            tree.indent(root)
            row = zipfile.ZipInfo(name)                              # its date is fixed: 1980
            row.compress_type, row.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(row, tree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return stream.getvalue()


def _manifest(banks: Sequence[Bank]) -> tree.Element:
    root = tree.Element("manifest", identifier=_identity("manifest", *(bank.number for bank in banks)), xmlns=MANIFEST)
    metadata = tree.SubElement(root, "metadata")
    tree.SubElement(metadata, "schema").text = "IMS Content"
    tree.SubElement(metadata, "schemaversion").text = "1.1.3"
    tree.SubElement(root, "organizations")
    resources = tree.SubElement(root, "resources")
    for bank in banks:
        quiz, meta = _identity(bank.number), _identity(bank.number, "meta")
        row = tree.SubElement(resources, "resource", identifier=quiz, type="imsqti_xmlv1p2")
        tree.SubElement(row, "file", href=f"{quiz}/{quiz}.xml")
        tree.SubElement(row, "dependency", identifierref=meta)
        where = f"{quiz}/assessment_meta.xml"
        row = tree.SubElement(resources, "resource", identifier=meta, type=META, href=where)
        tree.SubElement(row, "file", href=where)
    return root


def _settings(bank: Bank) -> tree.Element:
    """Canvas's own file beside the quiz: unpublished, for practice, as many attempts as one likes."""
    root = tree.Element("quiz", identifier=_identity(bank.number), xmlns=CANVAS)
    rows = {"title": _title(bank), "description": "<p>For practice: every answer says what it means.</p>",
            "shuffle_answers": "true", "scoring_policy": "keep_highest", "quiz_type": "practice_quiz",
            "points_possible": f"{len(bank.questions)}.0", "show_correct_answers": "true", "allowed_attempts": "-1",
            "one_question_at_a_time": "false", "available": "false"}
    for name, value in rows.items():
        tree.SubElement(root, name).text = value
    return root


def _assessment(bank: Bank) -> tree.Element:
    root = tree.Element("questestinterop", xmlns=QTI)
    assessment = tree.SubElement(root, "assessment", ident=_identity(bank.number), title=_title(bank))
    _fields(tree.SubElement(assessment, "qtimetadata"), {"cc_maxattempts": "unlimited"})
    section = tree.SubElement(assessment, "section", ident="root_section")
    for question in bank.questions:
        section.append(_item(bank, question))
    return root


def _item(bank: Bank, question: Question) -> tree.Element:
    names = [_identity(bank.number, question.id, answer.text) for answer in question.answers]
    item = tree.Element("item", ident=_identity(bank.number, question.id), title=question.id)
    _fields(tree.SubElement(tree.SubElement(item, "itemmetadata"), "qtimetadata"), {
        "question_type": "multiple_choice_question", "points_possible": "1.0", "original_answer_ids": ",".join(names),
        "assessment_question_identifierref": _identity(bank.number, question.id, "bank")})
    presentation = tree.SubElement(item, "presentation")
    _material(presentation, question.text)
    response = tree.SubElement(presentation, "response_lid", ident=RESPONSE, rcardinality="Single")
    choice = tree.SubElement(response, "render_choice")
    for name, answer in zip(names, question.answers, strict=True):
        _material(tree.SubElement(choice, "response_label", ident=name), answer.text)

    processing = tree.SubElement(item, "resprocessing")
    outcomes = tree.SubElement(processing, "outcomes")
    tree.SubElement(outcomes, "decvar", maxvalue="100", minvalue="0", varname="SCORE", vartype="Decimal")
    tree.SubElement(_when(processing, None, "Yes"), "displayfeedback", feedbacktype="Response", linkrefid="general_fb")
    for name in names:
        tree.SubElement(_when(processing, name, "Yes"), "displayfeedback", feedbacktype="Response",
                        linkrefid=f"{name}_fb")
    right = _when(processing, names[question.right], "No")
    tree.SubElement(right, "setvar", action="Set", varname="SCORE").text = "100"

    said = [("general_fb", question.why)]
    said += [(f"{name}_fb", answer.say or "Right.") for name, answer in zip(names, question.answers, strict=True)]
    for name, text in said:
        _material(tree.SubElement(tree.SubElement(item, "itemfeedback", ident=name), "flow_mat"), text)
    return item


def _when(processing: tree.Element, name: str | None, go_on: str) -> tree.Element:
    """A condition: this answer was chosen, or any."""
    condition = tree.SubElement(processing, "respcondition", attrib={"continue": go_on})
    variable = tree.SubElement(condition, "conditionvar")
    if name is None:
        tree.SubElement(variable, "other")
    else:
        tree.SubElement(variable, "varequal", respident=RESPONSE).text = name
    return condition


def _fields(metadata: tree.Element, fields: dict[str, str]) -> None:
    for label, entry in fields.items():
        field = tree.SubElement(metadata, "qtimetadatafield")
        tree.SubElement(field, "fieldlabel").text = label
        tree.SubElement(field, "fieldentry").text = entry


def _material(parent: tree.Element, text: str) -> None:
    mattext = tree.SubElement(tree.SubElement(parent, "material"), "mattext", texttype="text/html")
    mattext.text = f"<p>{markup.as_html(text, math=_equation)}</p>"


def _equation(latex: str) -> str:
    """A formula as Canvas stores it: an image that its own server draws, with the LaTeX as its description."""
    shown = html.escape(latex)
    address = urllib.parse.quote(urllib.parse.quote(latex, safe=""), safe="")     # twice, as Canvas does
    return (f'<img class="equation_image" title="{shown}" src="/equation_images/{address}" alt="LaTeX: {shown}" '
            f'data-equation-content="{shown}">')


def _title(bank: Bank) -> str:
    return f"sslab {bank.number}: {bank.title}"


def _identity(*parts: str) -> str:
    """A name that stays the same from export to export; letters first, as an XML ID must."""
    return "g" + hashlib.sha256("\n".join(("sslab", *parts)).encode()).hexdigest()[:32]
